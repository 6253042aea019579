"""Presets and settings: Table 3 of the paper, types and ranges, and the nearest name to a misspelt one."""

import dataclasses

import pytest

from minidraw.data.folder.sizes import common_size
from minidraw.errors import UserError
from minidraw.model.config import DRAWConfig
from minidraw.model.ram import RAMConfig
from minidraw.presets import PRESETS, TrainConfig, for_few_images, of_few, parse_setting, preset

TABLE_3 = """
                 data             image       glimpses  LSTM   z  read  write
    cluttered    cluttered        1x100x100      8      256    -   12     -
    mnist        binarized_mnist  1x28x28       64      256  100    2     5
    mnist-noattn binarized_mnist  1x28x28       64      256  100    -     -
    two-digits   two_digits       1x60x60       64      256  100    2     5
    svhn         svhn             3x54x54       32      800  100   12    12
    cifar10      cifar10          3x32x32       64      400  200    5     5
"""


@pytest.mark.parametrize("row", TABLE_3.strip().splitlines()[1:], ids=lambda row: row.split()[0])
def test_the_paper_s_experiments_have_the_sizes_of_its_table_3(row):
    name, data, image, *numbers = row.split()
    glimpses, units, latent, read, write = (None if number == "-" else int(number) for number in numbers)
    model, train = preset(name).model, preset(name).train
    assert (train.data, "x".join(map(str, model.image_shape)), model.glimpses) == (data, image, glimpses)
    assert model.read_size == read
    if isinstance(model, RAMConfig):
        assert (model.hidden_size, model.classes, latent, write) == (units, 10, None, None)
    else:
        sizes = (model.enc_size, model.dec_size, model.latent_size, model.write_size)
        assert sizes == (units, units, latent, write)


def test_the_preset_for_the_impatient_needs_no_files():
    assert preset("strokes").train.data == "strokes"


def test_an_unknown_preset_is_told_the_nearest():
    with pytest.raises(UserError, match=r"unknown preset 'mnst'; did you mean 'mnist'\? There are: .*strokes"):
        preset("mnst")


def test_replace_changes_fields_of_both_configs_and_refuses_unknown_ones():
    changed = PRESETS["strokes"].replace(glimpses=9, steps=5)
    assert (changed.model.glimpses, changed.train.steps) == (9, 5)
    assert PRESETS["strokes"].model.glimpses != 9, "a preset must not change"
    with pytest.raises(UserError, match="unknown setting 'glimses'; did you mean 'glimpses'"):
        changed.replace(glimses=3)


@pytest.mark.parametrize(
    "text, value",
    [
        ("steps=12", 12),
        ("learning_rate=1e-3", 1e-3),
        ("clip=0", 0.0),
        ("read_size=none", None),
        ("write_size=None", None),
        ("read_size=7", 7),
        ("data=strokes", "strokes"),
        ("image_shape=3,8,9", (3, 8, 9)),
        ("image_shape=(3, 8, 9)", (3, 8, 9)),
    ],
)
def test_a_setting_has_the_type_of_its_field(text, value):
    name, parsed = parse_setting(text)
    assert (name, parsed, type(parsed)) == (text.partition("=")[0], value, type(value))


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("steps", "key=value"),
        ("=3", "unknown setting ''"),
        ("learning-rate=1", "did you mean 'learning_rate'"),
        ("steps=1.5", "steps takes a whole number"),
        ("steps=", "a whole number"),
        ("learning_rate=fast", "a number"),
        ("read_size=two", "a whole number or none"),
        ("image_shape=28x28", "whole numbers like 1,28,28"),
    ],
)
def test_a_setting_of_another_type_is_refused(text, complaint):
    with pytest.raises(UserError, match=complaint):
        parse_setting(text)


@pytest.mark.parametrize(
    "field, value",
    [
        *((name, value) for name in ("steps", "batch_size", "log_every") for value in (0, -1, 2.5, True, "3", None)),
        *((name, value) for name in ("seed", "warmup", "validation_images") for value in (-1, 1.0, [], None)),
        *((name, float(value)) for name in ("learning_rate", "clip") for value in ("nan", "inf", "-inf", "-0.1")),
        *((name, value) for name in ("beta1", "beta2", "averaging") for value in (1, 1.5, -0.1, "0.9", True)),
        ("decay_from", 1.01),
        ("learning_rate", "fast"),
        ("data", 5),
        ("data", None),
    ],
)
def test_a_value_out_of_range_or_of_another_type_is_refused(field, value):
    with pytest.raises(UserError, match=f"^{field} must be "):
        TrainConfig(**{field: value})


def test_the_smallest_and_largest_values_are_allowed():
    config = TrainConfig(steps=1, batch_size=1, seed=0, warmup=0, validation_images=0, beta1=0, decay_from=1, clip=0)
    assert isinstance(config.clip, float) and isinstance(config.decay_from, float), "a float field holds a float"


def test_no_field_has_the_same_name_in_both_configs():
    assert not {f.name for f in dataclasses.fields(DRAWConfig)} & {f.name for f in dataclasses.fields(TrainConfig)}


@pytest.mark.parametrize(
    "images, batch",
    [(11, 11), (16, 16), (240, 16), (399, 16), (400, 20), (500, 24), (999, 48), (1999, 80), (60_000, 100)],
)
def test_few_images_make_small_batches(images, batch):
    chosen, remarks = for_few_images(TrainConfig(), images)
    assert chosen["batch_size"] == batch
    told = [f"batches of {batch}, for {images:,} training images (batch_size)"] if batch != 100 else []
    assert [line for line in remarks if line.startswith("batches")] == told


@pytest.mark.parametrize(
    "length, epochs, warmup",
    [
        ({"minutes": 2.0}, None, 40),
        ({"minutes": 60.0}, None, 100),
        ({"minutes": 1e-3}, None, 1),
        ({"steps": 300}, None, 30),
        ({"steps": 5000}, None, 100),
        ({"steps": 5000}, 10, 15),
        ({"steps": 1}, None, 1),
    ],
)
def test_in_a_short_run_the_learning_rate_rises_soon(length, epochs, warmup):
    chosen, remarks = for_few_images(TrainConfig(**length), 240, (), epochs)
    assert chosen["warmup"] == warmup
    assert any(f"rises over {warmup} updates" in line for line in remarks) == (warmup != 100)


def test_what_is_given_is_not_chosen():
    assert for_few_images(TrainConfig(minutes=1.0), 240, ("batch_size", "warmup"))[0] == {"glimpse_warmup": 0.0}
    assert for_few_images(TrainConfig(), 240, ("batch_size", "warmup", "glimpse_warmup"))[0] == {}
    chosen, remarks = for_few_images(TrainConfig(minutes=1.0, batch_size=50), 240, ("batch_size",))
    assert "batch_size" not in chosen and chosen["warmup"] == 20
    assert not any(line.startswith("batches") for line in remarks)
    assert for_few_images(TrainConfig(warmup=0), 240)[0]["warmup"] == 0, "not more than there was"


def test_few_are_the_same_to_whoever_speaks_of_them():
    """Pictures that are made small, being few, are those of which it is said that they are."""
    for images in (10, 1999, 2000, 60_000):
        made_small = common_size([(96, 96)] * images) == (32, 32)
        assert bool(of_few(images, 28)) == made_small == (images < 2000)
    assert of_few(1234, 48) == ["1,234 images are few: expect drawings much like them"]
    assert of_few(10, 49) == [
        "10 images are few: expect drawings much like them, and at 49 pixels a blur for the first minutes: at 32 an "
        "update is faster"
    ]
    assert common_size([(48, 48)] * 10) == (48, 48) and common_size([(49, 49)] * 10) == (32, 32)
