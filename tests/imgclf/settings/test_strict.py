import pytest
from pydantic.dataclasses import dataclass

from imgclf.common.errors import UserError
from imgclf.settings import strict


@dataclass(frozen=True, kw_only=True, config=strict.STRICT)
class Inner:
    rate: float = 0.5


@dataclass(frozen=True, kw_only=True, config=strict.STRICT)
class Outer:
    number: int
    inner: Inner
    sizes: tuple[int, int] = (1, 2)


GOOD = {"number": 3, "inner": {"rate": 0.25}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("0.001", 0.001),
        ("010", 10),
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("1:30", "1:30"),
        ("~", None),
    ],
)
def test_parse_reads_yaml_as_dvc_does(text: str, value: object) -> None:
    parsed = strict.parse_yaml(f"key: {text}")["key"]
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "parameters: None is not a mapping"),
        ("lr", "parameters: 'lr' is not a mapping"),
        ("- lr: 1", "parameters: [{'lr': 1}] is not a mapping"),
        ("lr: [1", "parameters are not YAML: while parsing a flow sequence"),
        ("lr: 1\n  epochs: 2", "parameters are not YAML: mapping values are not allowed here"),
        ("lr: 1\nlr: 2", "parameters are not YAML: while constructing a mapping"),
        ("lr:\t1\n\tepochs: 2", "parameters are not YAML: "),
        ("a: 1\n---\nb: 2", "parameters are not YAML: expected a single document"),
        ("lr: *shared", "parameters are not YAML: found undefined alias"),
        ("lr: !!python/object/apply:os.getcwd []", "parameters are not YAML: could not determine"),
        ("lr: \x00", "parameters are not YAML: unacceptable character #x0000"),
        ("lr: 1_\nday: 2025-02-30", "parameters are not YAML: day is out of range for month"),
        ("lr: !!int x", "parameters are not YAML: invalid literal for int()"),
        ("lr: !!int", "parameters are not YAML: "),
        ("lr: !!bool x", "parameters are not YAML: "),
        ("lr: ._", "parameters are not YAML: could not convert string to float"),
        ("? [[1], {}]\n: 1", "parameters are not YAML: "),
        pytest.param("lr: " + 5000 * "9", "parameters are not YAML: ", id="too long an integer"),
        pytest.param("lr: 0x" + 5000 * "f", "parameters are not YAML: ", id="the same in hex"),
        pytest.param(1000 * "{a: " + 1000 * "}", "parameters are not YAML: ", id="too deep"),
    ],
)
def test_parse_refuses(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        strict.parse_yaml(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_read_makes_nested_dataclasses_and_tuples() -> None:
    assert strict.read_settings(Outer, GOOD, "") == Outer(
        number=3, inner=Inner(rate=0.25), sizes=(1, 2)
    )
    assert strict.read_settings(Outer, GOOD | {"sizes": [3, 4]}, "").sizes == (3, 4)


CYCLE: list[object] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("values", "where", "fragments"),
    [
        (None, "", ["parameters: None", "mapping"]),
        ([1], "a.b", ["a.b: [1]", "mapping"]),
        ({"number": 3}, "", ["inner: is missing"]),
        ({"inner": {}}, "a.b", ["a.b.number: is missing"]),
        (GOOD | {"numbr": 1}, "", ["parameters: 'numbr'", "mean 'number'?"]),
        (GOOD | {"zzz": 1}, "a", ["a: 'zzz'", "Allowed: inner, number, sizes"]),
        (GOOD | {"inner": {"rat": 1}}, "a", ["a.inner: 'rat'", "mean 'rate'?", "Allowed: rate"]),
        (GOOD | {"inner": 1}, "", ["inner: 1 is not allowed", "mapping"]),
        (GOOD | {"number": 3.0}, "", ["number: 3.0 is not allowed", "integer"]),
        (GOOD | {"number": "3"}, "", ["number: '3' is not allowed", "integer"]),
        (GOOD | {"number": True}, "", ["number: True is not allowed", "integer"]),
        (GOOD | {"number": None}, "", ["number: None is not allowed", "integer"]),
        (GOOD | {"inner": {"rate": float("nan")}}, "", ["inner.rate: nan is not", "finite"]),
        (GOOD | {"inner": {"rate": float("-inf")}}, "a", ["a.inner.rate: -inf is not", "finite"]),
        (GOOD | {"sizes": [1, "2"]}, "", ["sizes.1: '2' is not allowed", "integer"]),
        (GOOD | {"sizes": [1]}, "", ["sizes.1: is missing"]),
        ({(1, 2): 3}, "a", ["a: "]),
        (GOOD | {"sizes": CYCLE}, "a", ["a: "]),
    ],
)
def test_read_refuses(values: object, where: str, fragments: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        strict.read_settings(Outer, values, where)
    assert str(caught.value).startswith(fragments[0])
    assert all(fragment in str(caught.value) for fragment in fragments)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("epoch", "epochs"), ("Epochs", "epochs"), ("ephocs", "epochs"), ("lrr", "lr")],
)
def test_unknown_suggests_the_nearest_name(name: str, nearest: str) -> None:
    message = str(strict.unknown_name("here", name, ["lr", "epochs"]))
    assert message.startswith(f"here: {name!r} is unknown")
    assert f"you mean {nearest!r}?" in message


@pytest.mark.parametrize("name", ["zzz", None, 3, ("lr",)])
def test_unknown_suggests_nothing_if_nothing_is_near(name: object) -> None:
    message = str(strict.unknown_name("here", name, ["lr", "epochs"]))
    assert message.startswith(f"here: {name!r} is unknown")
    assert message.endswith("Allowed: epochs, lr")
    assert "?" not in message
