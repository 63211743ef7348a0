: High-voltage activated calcium
: I = g m^2 h (v - ECa)
: Kinetics: Blue Brain cells of 2015 (ModelDB 241165, mechanisms/); mV, ms, S/cm2.
: No temperature factor.

NEURON {
    SUFFIX Ca_HVA
    USEION ca READ eca WRITE ica
    RANGE gbar
}

UNITS {
    (mV) = (millivolt)
    (mA) = (milliamp)
    (S) = (siemens)
}

PARAMETER {
    gbar = 0 (S/cm2)
}

ASSIGNED {
    v (mV)
    eca (mV)
    ica (mA/cm2)
    mInf (1)
    mTau (ms)
    hInf (1)
    hTau (ms)
}

STATE {
    m
    h
}

BREAKPOINT {
    SOLVE states METHOD cnexp
    ica = gbar * m * m * h * (v - eca)
}

INITIAL {
    rates(v)
    m = mInf
    h = hInf
}

DERIVATIVE states {
    rates(v)
    m' = (mInf - m) / mTau
    h' = (hInf - h) / hTau
}

PROCEDURE rates(u (mV)) {
    LOCAL a, b
    a = 0.055 * linoid(u + 27, 3.8)
    b = 0.94 * exp((-75 - u) / 17)
    mInf = a / (a + b)
    mTau = 1 / (a + b)
    a = 0.000457 * exp((-13 - u) / 50)
    b = 0.0065 / (exp((-u - 15) / 28) + 1)
    hInf = a / (a + b)
    hTau = 1 / (a + b)
}

: u / (1 - exp(-u/k)) with its limit k at u = 0.
FUNCTION linoid(u (mV), k (mV)) (mV) {
    if (fabs(u / k) < 1e-6) {
        linoid = k + 0.5 * u
    } else {
        linoid = u / (1 - exp(-u / k))
    }
}
