: Persistent potassium
: I = g m^2 h (v - EK)
: Kinetics: Blue Brain cells of 2015 (ModelDB 241165, mechanisms/); mV, ms, S/cm2.
: Rates grow by 2.3 per 10 degC from 21 degC.

NEURON {
    SUFFIX K_Pst
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
    hInf (1)
    hTau (ms)
}

STATE {
    m
    h
}

BREAKPOINT {
    SOLVE states METHOD cnexp
    ik = gbar * m * m * h * (v - ek)
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
    mInf = 1 / (1 + exp(-(u + 11) / 12))
    if (u < -60) {
        mTau = (1.25 + 175.03 * exp(0.026 * (u + 10))) / q
    } else {
        mTau = (1.25 + 13 * exp(-0.026 * (u + 10))) / q
    }
    hInf = 1 / (1 + exp((u + 64) / 11))
    hTau = (360 + (1010 + 24 * (u + 65)) * exp(-((u + 85) / 48) * ((u + 85) / 48))) / q
}
