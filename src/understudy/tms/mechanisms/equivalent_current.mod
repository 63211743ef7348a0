: The axial currents that an electric field drives, as currents into each segment
: `density` is the current per area at amplitude 1; `amplitude` is the field's value in the step to come.

NEURON {
    SUFFIX equivalent_current
    ELECTRODE_CURRENT i
    RANGE density
    GLOBAL amplitude
}

UNITS {
    (mA) = (milliamp)
}

PARAMETER {
    density = 0 (mA/cm2)
    amplitude = 0 (1)
}

ASSIGNED {
    i (mA/cm2)
}

BREAKPOINT {
    i = amplitude * density
}
