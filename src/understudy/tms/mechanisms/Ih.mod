: Hyperpolarisation-activated cation current
: I = g m (v + 45)
: Kinetics: Blue Brain cells of 2015 (ModelDB 241165, mechanisms/); mV, ms, S/cm2.
: No temperature factor.

NEURON {
    SUFFIX Ih
    NONSPECIFIC_CURRENT i
    RANGE gbar
}

UNITS {
    (mV) = (millivolt)
    (mA) = (milliamp)
    (S) = (siemens)
}

PARAMETER {
    gbar = 0 (S/cm2)
    ehcn = -45 (mV)
}

ASSIGNED {
    v (mV)
    i (mA/cm2)
    mInf (1)
    mTau (ms)
}

STATE {
    m
}

BREAKPOINT {
    SOLVE states METHOD cnexp
    i = gbar * m * (v - ehcn)
}

INITIAL {
    rates(v)
    m = mInf
}

DERIVATIVE states {
    rates(v)
    m' = (mInf - m) / mTau
}

PROCEDURE rates(u (mV)) {
    LOCAL a, b
    a = 0.00643 * linoid(-(u + 154.9), 11.9)
    b = 0.193 * exp(u / 33.1)
    mInf = a / (a + b)
    mTau = 1 / (a + b)
}

: u / (1 - exp(-u/k)) with its limit k at u = 0.
FUNCTION linoid(u (mV), k (mV)) (mV) {
    if (fabs(u / k) < 1e-6) {
        linoid = k + 0.5 * u
    } else {
        linoid = u / (1 - exp(-u / k))
    }
}
