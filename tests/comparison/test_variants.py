"""Keys and what is tried for them."""

from __future__ import annotations

import pytest

from seqnlp.comparison.variants import MOST, Axis, parse_axis, variants_of
from seqnlp.errors import InputError


def test_a_name_is_found_by_its_letters() -> None:
    assert parse_axis("model.cell=mingru,MinLSTM,layer-norm-lstm").values == (
        '"min_gru"', '"min_lstm"', '"layer_norm_lstm"',
    )  # fmt: skip
    assert parse_axis("model.engine=auto,native").values == ('"auto"', '"native"')


def test_an_option_stands_for_its_key() -> None:
    axis = parse_axis("hidden-size=8, 16", {"hidden_size": "model.hidden_size"})
    assert axis == Axis(key="model.hidden_size", values=("8", "16"))


def test_values_may_be_written_as_toml() -> None:
    axis = parse_axis('head.pooling=[["max"], ["mean", "last"], "max"]')
    assert axis.values == ('["max"]', '["mean", "last"]', '"max"')
    assert parse_axis("hooks.clip=[{norm = 1.0}, false]").values == ('{"norm" = 1.0}', "false")


def test_variants_are_all_combinations() -> None:
    axes = [parse_axis("model.cell=lstm,gru"), parse_axis("head.attention=default,additive")]
    made = variants_of(axes)
    assert [each.name for each in made] == [
        "lstm-default", "lstm-additive", "gru-default", "gru-additive",
    ]  # fmt: skip
    # What is left as it is, is not set.
    assert made[0].overrides == ('model.cell="lstm"',)
    assert made[3].overrides == ('model.cell="gru"', 'head.attention="additive"')


def test_no_two_variants_share_a_folder() -> None:
    made = variants_of([parse_axis("text.tokenizer=spacy:en,spacy/en,:")])
    assert [each.name for each in made] == ["spacy-en", "spacy-en-2", "empty"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.cell", "--vary model.cell: expected a key and its values, such as "
         "model.cell=lstm,gru"),
        ("=a,b", "--vary =a,b: expected a key and its values, such as model.cell=lstm,gru"),
        ("train.lr=1,,2", "--vary train.lr=1,,2: a value is empty"),
        ("train.lr=0.1", "--vary train.lr=0.1: name two values at least; --set train.lr=... sets "
         "one"),
        ("model.cell=gru,lstm,GRU", '--vary model.cell=gru,lstm,GRU: "gru" is named twice'),
    ],
)  # fmt: skip
def test_what_is_no_axis(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_axis(text)
    assert str(caught.value) == message


def test_a_name_that_is_unknown_has_a_nearest() -> None:
    with pytest.raises(InputError, match="^no cell is named 'lstn'; did you mean 'lstm'?"):
        parse_axis("model.cell=gru,lstn")


def test_the_option_that_was_typed_is_named() -> None:
    with pytest.raises(InputError, match="^--cells gru: name two values at least"):
        parse_axis("model.cell=gru", option="--cells")


def test_a_key_is_varied_once_and_not_without_end() -> None:
    axis = parse_axis("train.lr=1,2")
    with pytest.raises(InputError, match=r"^--vary train\.lr: the key is named twice$"):
        variants_of([axis, axis])
    many = parse_axis(f"train.lr={','.join(map(str, range(1, MOST + 2)))}")
    with pytest.raises(InputError, match="^101 combinations to train; 100 are the most$"):
        variants_of([many])
