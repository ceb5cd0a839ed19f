"""What the tests of training share: inputs and labels of made-up texts."""

import pytest

from bench.core.seeds import named_generator
from bench.training.toy import ToyEncoder
from tests.training.fitting import CLASSES, SIZES, texts


@pytest.fixture(scope="module")
def inputs():
    encoder = ToyEncoder()
    return {split: encoder.inputs({"embeddings": encoder.embed(texts(split))}) for split in SIZES}


@pytest.fixture
def labels():
    return named_generator("trainer labels").integers(0, CLASSES, SIZES["train"])
