: Counts upward crossings of 0 mV over all segments that have it, and keeps the first one's place and time
: Of several first crossings in one step the one with the smallest `place` counts.

NEURON {
    SUFFIX crossings
    RANGE place
    GLOBAL count, where_first, when_first
}

UNITS {
    (mV) = (millivolt)
}

PARAMETER {
    place = 0
    count = 0
    where_first = -1
    when_first = -1 (ms)
}

ASSIGNED {
    v (mV)
    before (mV)
}

INITIAL {
    before = v
}

AFTER SOLVE {
    if (before < 0 && v >= 0) {
        count = count + 1
        if (where_first < 0 || (t == when_first && place < where_first)) {
            where_first = place
            when_first = t
        }
    }
    before = v
}
