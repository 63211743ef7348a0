"""Blocks and their exclusive claims."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from understudy.farm.claims import Block, claim, claimed_blocks, fixed_blocks, longest_first


def test_blocks_are_fixed_ranges_of_cases_with_summed_costs():
    blocks = fixed_blocks([3, 4, 7, 9, 11], 2, costs=[1, 2, 3, 4, 5])
    assert [block.cases for block in blocks] == [(3, 4), (7, 9), (11,)]
    assert [block.cost for block in blocks] == [3, 7, 5]
    assert [block.index for block in blocks] == [0, 1, 2]


def test_impossible_blocks_are_refused():
    with pytest.raises(ValueError, match="size"):
        fixed_blocks([1], 0)
    with pytest.raises(ValueError, match="costs"):
        fixed_blocks([1, 2], 1, costs=[1.0])


def test_longest_comes_first_and_ties_go_by_index():
    blocks = [Block(0, (0,), 1), Block(1, (1,), 50), Block(2, (2,), 1)]
    assert [block.index for block in longest_first(blocks)] == [1, 0, 2]


def test_a_block_is_claimed_once(tmp_path):
    assert claim(tmp_path, 3)
    assert not claim(tmp_path, 3)


def test_concurrent_claimants_share_all_blocks_without_overlap(tmp_path):
    blocks = fixed_blocks(range(300), 1)
    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(lambda _: [block.index for block in claimed_blocks(tmp_path, blocks)], range(8)))
    assert sorted(index for share in shares for index in share) == list(range(300))
