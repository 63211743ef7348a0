: One time course for the potential outside every segment, handed to the mechanism `extracellular`
: `potential` is the (quasi-)potential at amplitude 1.

NEURON {
    SUFFIX outside_potential
    RANGE potential
    GLOBAL amplitude
    POINTER outside
}

UNITS {
    (mV) = (millivolt)
}

PARAMETER {
    potential = 0 (mV)
    amplitude = 0 (1)
}

ASSIGNED {
    outside (mV)
}

BEFORE BREAKPOINT {
    outside = amplitude * potential
}
