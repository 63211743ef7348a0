: Low-voltage activated calcium
: I = g m^2 h (v - ECa)
: Kinetics: Blue Brain cells of 2015 (ModelDB 241165, mechanisms/); mV, ms, S/cm2.
: Rates grow by 2.3 per 10 degC from 21 degC.

NEURON {
    SUFFIX Ca_LVAst
    USEION ca READ eca WRITE ica
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
    eca (mV)
    ica (mA/cm2)
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
    ica = gbar * m * m * h * (v - eca)
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
    mInf = 1 / (1 + exp(-(u + 40) / 6))
    mTau = (5 + 20 / (1 + exp((u + 35) / 5))) / q
    hInf = 1 / (1 + exp((u + 90) / 6.4))
    hTau = (20 + 50 / (1 + exp((u + 50) / 7))) / q
}
