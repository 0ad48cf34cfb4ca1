"""The search space: its domains, its grid, and its refusals."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_core.errors import SpecError
from search.domains import Choices, Domain, FloatRange, IntRange
from search.space import MAX_GRID_POINTS, SEARCHABLE, Space, key_of
from search.spec import SweepSpec

seeded = settings(derandomize=True, database=None, deadline=None, max_examples=150)


@st.composite
def int_ranges(draw: st.DrawFn, log: bool = False) -> IntRange:
    low = draw(st.integers(1 if log else -50, 50))
    high = low + draw(st.integers(1, 60))
    return IntRange(low, high, log=True) if log else IntRange(low, high, draw(st.integers(1, 20)))


@st.composite
def stepped_floats(draw: st.DrawFn) -> FloatRange:
    """Ranges as people write them, in thousandths, whose step reaches the upper end."""
    low, step, count = draw(st.integers(0, 1000)), draw(st.integers(1, 250)), draw(st.integers(1, 40))
    return FloatRange(low / 1000, (low + count * step) / 1000, step=step / 1000)


@st.composite
def continuous_floats(draw: st.DrawFn) -> FloatRange:
    log = draw(st.booleans())
    low = draw(st.floats(1e-6 if log else -1.0, 1.0))
    return FloatRange(low, low + draw(st.floats(1e-3, 10.0)), log=log)


@st.composite
def small_spaces(draw: st.DrawFn) -> Space:
    """Spaces of up to four parameters of all kinds, whose values can be listed."""
    kinds: dict[str, st.SearchStrategy[Domain]] = {
        "hidden_size": st.builds(lambda low, count: IntRange(low, low + count), st.integers(1, 99), st.integers(1, 4)),
        "dropout": st.builds(lambda count: FloatRange(0.0, count / 10, step=0.1), st.integers(1, 5)),
        "learning_rate": st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=4, unique=True).map(
            lambda values: Choices(tuple(values))
        ),
        "architecture": st.just(Choices(("mlp",))),
    }
    names = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, unique=True))
    return Space({name: draw(kinds[name]) for name in names})


class TestRangesOfIntegers:
    @seeded
    @given(int_ranges())
    def test_list_values_of_their_own_within_their_bounds(self, domain: IntRange) -> None:
        listed = domain.listed()
        assert listed is not None
        assert all(value in domain and type(value) is int for value in listed)
        assert listed[0] == domain.low
        assert domain.high - domain.step < listed[-1] <= domain.high

    @seeded
    @given(int_ranges())
    def test_hold_what_they_list_and_nothing_else(self, domain: IntRange) -> None:
        held = [value for value in range(domain.low - 25, domain.high + 26) if value in domain]
        assert tuple(held) == domain.listed()

    @seeded
    @given(int_ranges(log=True))
    def test_on_a_log_scale_hold_both_ends_and_are_not_listed(self, domain: IntRange) -> None:
        assert domain.low in domain
        assert domain.high in domain
        assert domain.low - 1 not in domain
        assert domain.high + 1 not in domain
        assert domain.listed() is None

    @pytest.mark.parametrize("value", [2.0, True, "2", None])
    def test_hold_nothing_but_integers(self, value: object) -> None:
        assert value not in IntRange(0, 4)


class TestRangesOfFloats:
    @seeded
    @given(stepped_floats())
    def test_list_values_of_their_own_from_end_to_end(self, domain: FloatRange) -> None:
        listed = domain.listed()
        assert listed is not None
        assert all(value in domain and domain.low <= value <= domain.high for value in listed)
        assert (listed[0], listed[-1]) == (domain.low, domain.high)

    @pytest.mark.parametrize(
        ("domain", "listed"),
        [
            (FloatRange(0.0, 0.3, step=0.1), (0.0, 0.1, 0.2, 0.3)),
            (FloatRange(0.1, 0.7, step=0.2), (0.1, 0.3, 0.5, 0.7)),
            (FloatRange(0.0, 0.5, step=0.2), (0.0, 0.2, 0.4)),
            (FloatRange(0.0, 1.0, step=0.3), (0.0, 0.3, 0.6, 0.9)),
            (FloatRange(0.0, 0.25, step=0.5), (0.0,)),
        ],
    )
    def test_list_the_numbers_that_a_person_would_write(self, domain: FloatRange, listed: tuple[float, ...]) -> None:
        assert domain.listed() == listed

    @seeded
    @given(continuous_floats())
    def test_without_a_step_hold_both_ends_and_are_not_listed(self, domain: FloatRange) -> None:
        assert domain.low in domain
        assert domain.high in domain
        assert (domain.low + domain.high) / 2 in domain
        assert domain.low - 1e-3 not in domain
        assert domain.high + 1e-3 not in domain
        assert domain.listed() is None

    @pytest.mark.parametrize("value", [0.15, 0.4, -0.1, True, "0.1", None, float("nan")])
    def test_hold_nothing_beside_their_steps(self, value: object) -> None:
        assert value not in FloatRange(0.0, 0.3, step=0.1)


class TestGrid:
    @seeded
    @given(small_spaces())
    def test_has_every_combination_exactly_once(self, space: Space) -> None:
        grid = space.grid()
        expected = 1
        for domain in space.domains.values():
            expected *= len(domain.listed() or ())
        assert len(grid) == expected
        assert len({key_of(point) for point in grid}) == expected
        assert all(point in space for point in grid)

    @seeded
    @given(small_spaces())
    def test_is_counted_as_it_is_listed(self, space: Space) -> None:
        assert space.grid_size() == space.size == len(space.grid())

    def test_is_not_listed_to_read_the_target_of_a_sweep(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Space, "grid", lambda space: pytest.fail("the grid was listed"))
        space = Space({"hidden_size": IntRange(1, 1000), "batch_size": IntRange(1, 99)})
        spec = SweepSpec("large", space, sampler="grid", trials=5)
        assert (spec.target, spec.max_target) == (5, 99_000)

    def test_varies_the_last_parameter_fastest(self) -> None:
        space = Space({"hidden_size": Choices((1, 2)), "dropout": Choices((0.0, 0.5))})
        assert [tuple(point.values()) for point in space.grid()] == [(1, 0.0), (1, 0.5), (2, 0.0), (2, 0.5)]

    def test_does_not_multiply_by_what_does_not_exist(self) -> None:
        space = Space(
            {
                "blocks": Choices((1, 2)),
                "architecture": Choices(("mlp", "cnn")),
                "dropout": Choices((0.0, 0.5)),
                "pooling": Choices(("max", "average")),
            }
        )
        grid = space.grid()
        assert [point for point in grid if point["architecture"] == "mlp"] == [
            {"architecture": "mlp", "dropout": 0.0},
            {"architecture": "mlp", "dropout": 0.5},
        ]
        assert len(grid) == len({key_of(point) for point in grid}) == space.size == 2 + 2 * 2 * 2
        assert all(point in space for point in grid)

    def test_of_parameters_that_all_exist_keeps_its_order(self) -> None:
        space = Space({"hidden_size": Choices((1, 2)), "architecture": Choices(("mlp", "cnn"))})
        assert [tuple(point.values()) for point in space.grid()] == [(1, "mlp"), (1, "cnn"), (2, "mlp"), (2, "cnn")]

    def test_may_be_as_large_as_the_limit(self) -> None:
        assert len(Space({"hidden_size": IntRange(1, MAX_GRID_POINTS)}).grid()) == MAX_GRID_POINTS


@pytest.mark.parametrize(
    ("domains", "size"),
    [
        ({"hidden_size": IntRange(8, 64, log=True), "dropout": Choices((0.0, 0.5))}, 57 * 2),
        ({"hidden_size": IntRange(8, 64, step=8), "dropout": FloatRange(0.0, 0.5)}, math.inf),
        ({"learning_rate": FloatRange(1e-4, 1e-2, log=True)}, math.inf),
    ],
)
def test_the_size_of_a_space_counts_all_of_its_points(domains: dict[str, Domain], size: float) -> None:
    assert Space(domains).size == size


class TestPoints:
    @seeded
    @given(st.data())
    def test_come_back_from_their_texts(self, data: st.DataObject) -> None:
        values: dict[str, st.SearchStrategy[int | float | str]] = {
            "hidden_size": st.integers(1, 10**6),
            "learning_rate": st.floats(allow_nan=False, allow_infinity=False),
            "architecture": st.text(max_size=8),
        }
        point = {name: data.draw(strategy) for name, strategy in values.items()}
        space = Space({name: Choices((value,)) for name, value in point.items()})
        parsed = space.parse({name: str(value) for name, value in point.items()} | {"l2": "0.5"})
        assert parsed == point
        assert {name: type(value) for name, value in parsed.items()} == {name: SEARCHABLE[name] for name in point}

    @pytest.mark.parametrize("value", [True, False])
    def test_of_switches_come_back_from_their_texts(self, value: bool) -> None:
        space = Space({"batch_normalization": Choices((False, True))})
        assert space.parse({"batch_normalization": str(value)})["batch_normalization"] is value

    def test_come_back_from_the_texts_of_what_exists(self) -> None:
        space = Space({"filters": IntRange(1, 9), "architecture": Choices(("mlp", "cnn")), "l2": FloatRange(0.0, 1.0)})
        for point in ({"architecture": "mlp", "l2": 0.5}, {"filters": 3, "architecture": "cnn", "l2": 0.5}):
            assert space.parse({name: str(value) for name, value in point.items()}) == point
        with pytest.raises(KeyError, match="filters"):
            space.parse({"architecture": "cnn", "l2": "0.5"})

    @pytest.mark.parametrize(
        "point",
        [{"architecture": "mlp", "filters": 3}, {"architecture": "cnn"}, {"filters": 3}],
        ids=["too much", "too little", "no architecture"],
    )
    def test_with_more_or_less_than_exists_are_not_in_the_space(self, point: dict[str, int | float | str]) -> None:
        space = Space({"architecture": Choices(("mlp", "cnn")), "filters": IntRange(1, 9)})
        assert point not in space
        assert {"architecture": "mlp"} in space
        assert {"architecture": "cnn", "filters": 3} in space

    def test_of_several_architectures_span_a_conditional_space(self) -> None:
        points: list[dict[str, int | float | str]] = [
            {"architecture": "mlp", "l2": 0.5},
            {"architecture": "cnn", "l2": 0.1, "filters": 3},
        ]
        assert all(point in Space.of(points) for point in points)
        with pytest.raises(SpecError, match=r"expected architecture, l2, filters in each, .* in number 1"):
            Space.of([points[1], {"architecture": "cnn", "l2": 0.1}])

    def test_that_lack_a_text_are_refused(self) -> None:
        with pytest.raises(KeyError, match="dropout"):
            Space({"dropout": FloatRange(0.0, 0.5)}).parse({"l2": "0.1"})

    @pytest.mark.parametrize(
        "point",
        [{}, {"hidden_size": 3}, {"hidden_size": 3, "dropout": 0.7}, {"hidden_size": 3, "dropout": 0.1, "l2": 0.0}],
    )
    def test_of_other_parameters_or_values_are_not_in_the_space(self, point: dict[str, float]) -> None:
        assert point not in Space({"hidden_size": IntRange(1, 5), "dropout": FloatRange(0.0, 0.5)})

    def test_have_one_key_whatever_the_order_of_their_parameters(self) -> None:
        assert key_of({"l2": 0.0, "dropout": 0.5}) == key_of({"dropout": 0.5, "l2": 0.0})
        assert key_of({"l2": 0.0, "dropout": 0.5}) != key_of({"l2": 0.5, "dropout": 0.0})

    def test_corners_are_the_bounds_and_the_choices(self) -> None:
        space = Space(
            {"hidden_size": IntRange(1, 9, step=2), "dropout": FloatRange(0.0, 0.5), "l2": Choices((0.0, 1e-4))}
        )
        assert list(space.bounds()) == [
            ("hidden_size", 1),
            ("hidden_size", 9),
            ("dropout", 0.0),
            ("dropout", 0.5),
            ("l2", 0.0),
            ("l2", 1e-4),
        ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: IntRange(5, 5), ["low below high", "low = 5", "high = 5"]),
        (lambda: IntRange(6, 5), ["low below high", "low = 6", "high = 5"]),
        (lambda: FloatRange(0.5, 0.5), ["low below high", "0.5"]),
        (lambda: FloatRange(0.5, 0.1), ["low below high", "low = 0.5", "high = 0.1"]),
        (lambda: IntRange(0, 8, log=True), ["low above 0", "log", "low = 0"]),
        (lambda: FloatRange(0.0, 1.0, log=True), ["low above 0", "log", "low = 0.0"]),
        (lambda: FloatRange(-1.0, 1.0, log=True), ["low above 0", "log", "low = -1.0"]),
        (lambda: IntRange(1, 8, step=2, log=True), ["either log or step", "step = 2"]),
        (lambda: FloatRange(0.1, 1.0, step=0.1, log=True), ["either log or step", "step = 0.1"]),
        (lambda: IntRange(1, 8, log="yes"), ["true or false", "'yes'"]),  # type: ignore[arg-type]
        (lambda: IntRange(1, 8, step=0), ["step above 0", "step = 0"]),
        (lambda: FloatRange(0.0, 1.0, step=-0.1), ["step above 0", "step = -0.1"]),
        (lambda: IntRange(1.0, 8), ["integers", "1.0"]),  # type: ignore[arg-type]
        (lambda: IntRange(True, 8), ["integers", "True"]),
        (lambda: FloatRange(0.0, float("inf")), ["finite", "inf"]),
        (lambda: FloatRange(float("nan"), 1.0), ["finite", "nan"]),
        (lambda: FloatRange("0", 1.0), ["finite numbers", "'0'"]),  # type: ignore[arg-type]
        (lambda: Choices(()), ["at least one value", "empty"]),
        (lambda: Choices((1, 2, 1)), ["each value once", "1 more than once"]),
        (lambda: Space({}), ["[space]", "at least one parameter", "hidden_size"]),
        (lambda: Space({"hiden_size": IntRange(1, 8)}), ["space.hiden_size", "did you mean 'hidden_size'"]),
        (lambda: Space({"learningrate": FloatRange(0.1, 1.0)}), ["did you mean 'learning_rate'"]),
        (lambda: Space({"epochs": IntRange(1, 8)}), ["space.epochs", "known:", "batch_size"]),
        (
            lambda: Space({"dropout": FloatRange(0.0, 0.5)}).grid(),
            ["space.dropout", "continuous", "dropout = [0, …, 0.5]", "or give it a step"],
        ),
        (
            lambda: Space({"learning_rate": FloatRange(1e-4, 1e-2, log=True)}).grid(),
            ["space.learning_rate", "learning_rate = [0.0001, …, 0.01]"],
        ),
        (lambda: Space({"hidden_size": IntRange(8, 64, log=True)}).grid(), ["hidden_size = [8, …, 64]"]),
        (
            lambda: Space({"hidden_size": IntRange(1, 1000), "batch_size": IntRange(1, 101)}).grid(),
            ["[space]", "at most 100,000 points", "received 101,000"],
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(make: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(SpecError) as refusal:
        make()
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    "domain", [FloatRange(1e-4, 1e-2, log=True), IntRange(8, 64, log=True)], ids=["floats", "integers"]
)
def test_a_step_is_not_offered_where_the_scale_is_logarithmic(domain: Domain) -> None:
    name = "learning_rate" if isinstance(domain, FloatRange) else "hidden_size"
    with pytest.raises(SpecError) as refusal:
        Space({name: domain}).grid()
    assert "step" not in str(refusal.value)


@pytest.mark.parametrize(
    ("domain", "last"),
    [
        (FloatRange(1 / 3, 2 / 3, step=1 / 3), 2 / 3),
        (FloatRange(1e-13, 3e-13, step=1e-13), 3e-13),
        (FloatRange(0.0, 0.9999999999999, step=0.3333333333333), 0.9999999999999),
        (FloatRange(0.0, 0.3, step=0.1), 0.3),
    ],
)
def test_the_steps_of_awkward_numbers_stay_within_their_ends(domain: FloatRange, last: float) -> None:
    listed = domain.listed()
    assert listed is not None
    assert listed[0] == domain.low
    assert listed[-1] == pytest.approx(last, rel=1e-12)
    assert max(listed) <= domain.high
    assert len(set(listed)) == domain.count
    assert all(value in domain for value in listed)
