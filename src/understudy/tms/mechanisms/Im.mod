: Muscarinic potassium
: I = g m (v - EK)
: Kinetics: Blue Brain cells of 2015 (ModelDB 241165, mechanisms/); mV, ms, S/cm2.
: Rates grow by 2.3 per 10 degC from 21 degC.

NEURON {
    SUFFIX Im
    USEION k READ ek WRITE ik
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
    ek (mV)
    ik (mA/cm2)
    celsius (degC)
    q (1)
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
    : Once per start, not at every step.
    q = 2.3^((celsius - 21) / 10)
    rates(v)
    m = mInf
}

DERIVATIVE states {
    rates(v)
    m' = (mInf - m) / mTau
}

PROCEDURE rates(u (mV)) {
    LOCAL a, b
    a = 0.0033 * exp(0.1 * (u + 35))
    b = 0.0033 * exp(-0.1 * (u + 35))
    mInf = a / (a + b)
    mTau = 1 / ((a + b) * q)
}
