: Fast potassium (Kv3.1)
: I = g m (v - EK)
: Kinetics: Blue Brain cells of 2015 (ModelDB 241165, mechanisms/); mV, ms, S/cm2.
: No temperature factor.

NEURON {
    SUFFIX SKv3_1
    USEION k READ ek WRITE ik
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
    ek (mV)
    ik (mA/cm2)
    mInf (1)
    mTau (ms)
}

STATE {
    m
}

BREAKPOINT {
    SOLVE states METHOD cnexp
    ik = gbar * m * (v - ek)
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
    mInf = 1 / (1 + exp(-(u - 18.7) / 9.7))
    mTau = 4 / (1 + exp(-(u + 46.56) / 44.14))
}
