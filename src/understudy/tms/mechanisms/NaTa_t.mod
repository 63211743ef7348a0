: Transient sodium of the axon
: I = g m^3 h (v - ENa)
: Kinetics: Blue Brain cells of 2015 (ModelDB 241165, mechanisms/); mV, ms, S/cm2.
: Rates grow by 2.3 per 10 degC from 21 degC.

NEURON {
    SUFFIX NaTa_t
    USEION na READ ena WRITE ina
    RANGE gbar
    GLOBAL q
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
    ena (mV)
    ina (mA/cm2)
    celsius (degC)
    q (1)
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
    ina = gbar * m * m * m * h * (v - ena)
}

INITIAL {
    : Once per start, not at every step.
    q = 2.3^((celsius - 21) / 10)
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
    a = 0.182 * linoid(u + 38, 6)
    b = 0.124 * linoid(-(u + 38), 6)
    mInf = a / (a + b)
    mTau = 1 / ((a + b) * q)
    a = 0.015 * linoid(-(u + 66), 6)
    b = 0.015 * linoid(u + 66, 6)
    hInf = a / (a + b)
    hTau = 1 / ((a + b) * q)
}

: u / (1 - exp(-u/k)) with its limit k at u = 0.
FUNCTION linoid(u (mV), k (mV)) (mV) {
    if (fabs(u / k) < 1e-6) {
        linoid = k + 0.5 * u
    } else {
        linoid = u / (1 - exp(-u / k))
    }
}
