"""Streams of cases: by number only, and all different."""

import numpy as np
import pytest

from understudy.farm.seeds import case_sequence


def test_stream_depends_on_root_study_stage_and_case_only():
    words = case_sequence(3, 1, 2, 40).generate_state(4)
    assert np.array_equal(words, case_sequence(3, 1, 2, 40).generate_state(4))
    others = [case_sequence(*numbers).generate_state(4) for numbers in ((4, 1, 2, 40), (3, 0, 2, 40), (3, 1, 0, 40))]
    assert not any(np.array_equal(words, other) for other in others)


def test_streams_of_a_thousand_cases_differ():
    first = {tuple(case_sequence(3, 0, 0, case).generate_state(2)) for case in range(1000)}
    assert len(first) == 1000


@pytest.mark.parametrize("numbers", [(-1, 0, 0, 0), (1, 0, 0, -1)])
def test_negative_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match="accepted are integers >= 0"):
        case_sequence(*numbers)
