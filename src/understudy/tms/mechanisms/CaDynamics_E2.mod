: Calcium below the membrane: influx through a thin shell, exponential return
: Blue Brain cells of 2015 (ModelDB 241165, mechanisms/); mM, ms, mA/cm2, um.

NEURON {
    SUFFIX CaDynamics_E2
    USEION ca READ ica WRITE cai
    RANGE gamma, decay, start
}

UNITS {
    (mM) = (milli/liter)
    (mA) = (milliamp)
    (um) = (micron)
    FARADAY = (faraday) (coulombs)
}

PARAMETER {
    gamma = 0.05 (1)
    decay = 80 (ms)
    depth = 0.1 (um)
    least = 1e-4 (mM)
    : Concentration at the start of a run.
    start = 1e-4 (mM)
}

ASSIGNED {
    ica (mA/cm2)
}

STATE {
    cai (mM)
}

INITIAL {
    cai = start
}

BREAKPOINT {
    SOLVE states METHOD cnexp
}

DERIVATIVE states {
    cai' = -10000 * ica * gamma / (2 * FARADAY * depth) - (cai - least) / decay
}
