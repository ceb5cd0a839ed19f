"""The format of a pack: what goes in comes out, bit by bit; a damaged or forged file is refused by name."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from bench.core.errors import UsageError
from bench.core.seeds import named_generator
from bench.store.pack import MANIFEST, Entry, Pack
from bench.store.pack_writing import CHUNK, order, packable, write_pack

BITS = arrays_of.arrays(np.uint16, st.tuples(st.integers(0, 5), st.integers(0, 4)))
OTHERS = arrays_of.arrays(
    st.sampled_from([np.dtype(kind) for kind in ("<f4", "<i8", "<i2", "|u1", "|b1", ">i4", "<f8")]),
    arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


def stem(task="trec", noise="weak", method="plain", seed=1):
    return f"cells/{task}/{noise}/{method}/minilm-frozen/seed-{seed}-0123456789ab"


def probabilities(rows=40, classes=4, seed=0):
    values = named_generator("pack", rows, classes, seed).dirichlet(np.full(classes, 0.3), rows)
    return values.astype(np.float16)


def entries(count=3):
    """Cells of two tasks; steps share arrays, one has no arrays, one has a traceback."""
    gold = np.arange(40) % 4
    found = []
    for task, seed in itertools.product(("trec", "tweets"), range(1, count + 1)):
        last = probabilities(seed=seed)
        record = json.dumps({"seed": seed, "text": "é" * seed}, indent=1).encode()
        arrays = {"test_last": last, "test_oracle_best": last, "test_noisy_valid": last[::-1].copy(), "gold": gold}
        found.append(Entry(stem(task, seed=seed), {".json": record}, arrays))
    found.append(Entry(stem("zoo"), {".json": b"{}", ".traceback.txt": b"Error: \xff\n"}, None))
    return sorted(found, key=lambda entry: order(entry.stem))


def packed(path: Path, cells) -> Pack:
    with path.open("wb") as file:
        write_pack(file, cells)
    return Pack(path)


def same(one: Entry, other: Entry) -> bool:
    if one[:2] != other[:2] or (one.arrays is None) != (other.arrays is None):
        return False
    ours, theirs = one.arrays or {}, other.arrays or {}
    return ours.keys() == theirs.keys() and all(
        (ours[n].dtype, ours[n].shape, ours[n].tobytes()) == (theirs[n].dtype, theirs[n].shape, theirs[n].tobytes())
        for n in ours
    )


def test_what_goes_in_comes_out(tmp_path):
    cells = entries()
    pack = packed(tmp_path / "p.zip", cells)
    assert pack.stems == [cell.stem for cell in cells]
    for cell in cells:
        assert same(pack.entry(cell.stem), cell)
        assert pack.text(cell.stem) == cell.texts[".json"]
        assert pack.size(cell.stem) == len(cell.texts[".json"])
    assert list(pack.arrays(cells[0].stem, "gold", "nothing")) == ["gold"]
    assert pack.names(stem("zoo")) is None
    assert pack.arrays(stem("zoo")) is None
    assert stem("nobody") not in pack
    with pytest.raises(ValueError, match="read-only"):
        pack.arrays(cells[0].stem)["gold"][0] = 1


@given(st.lists(BITS, max_size=4), st.lists(OTHERS, max_size=4))
def test_arrays_of_any_bits_come_back_bit_by_bit(bits, others):
    """NaN, infinities, rows that sum to anything, empty arrays, other types and shapes under one name."""
    arrays = [*(each.view(np.float16) for each in bits), *others]
    cells = [Entry(stem(seed=i), {".json": b"{}"}, {"x": array}) for i, array in enumerate(arrays)]
    file = io.BytesIO()
    write_pack(file, cells)
    pack = Pack(file)
    assert all(same(pack.entry(cell.stem), cell) for cell in cells)


def test_equal_content_makes_equal_bytes_and_is_held_once(tmp_path):
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    packed(one, entries())
    packed(two, (Entry(e.stem, e.texts, e.arrays and dict(reversed(e.arrays.items()))) for e in entries()))
    assert one.read_bytes() == two.read_bytes()
    sizes = {info.filename: info.file_size for info in zipfile.ZipFile(one).infolist()}
    assert sizes["0000/gold.array"] == 40 * 8, "all cells of a task share the gold classes"
    assert "0000/test_oracle_best.array" not in sizes, "the best step was the last one"


def test_probabilities_take_less_room_than_compressed_as_they_are(tmp_path):
    cells = [Entry(stem(seed=i), {".json": b"{}"}, {"test_last": probabilities(500, 6, i)}) for i in range(20)]
    packed(tmp_path / "p.zip", cells)
    plain = io.BytesIO()
    np.savez_compressed(plain, **{str(i): cell.arrays["test_last"] for i, cell in enumerate(cells)})
    assert (tmp_path / "p.zip").stat().st_size < 0.85 * len(plain.getvalue())


def test_what_is_alike_takes_little_room_more(tmp_path):
    """Another step or seed gives probabilities near those there are; to read the last step needs no other one."""
    first = probabilities(500, 6)
    near = (first.view(np.uint16) ^ (named_generator("near").random(first.shape) < 0.5)).view(np.float16)
    arrays = {"test_last": first, "test_noisy_valid": near}
    pack = packed(tmp_path / "p.zip", [Entry(stem(), {".json": b"{}"}, arrays)])
    infos = zipfile.ZipFile(tmp_path / "p.zip").infolist()
    sizes = {name: sum(info.compress_size for info in infos if f"/{name}." in info.filename) for name in arrays}
    assert 0 < sizes["test_noisy_valid"] < 0.3 * sizes["test_last"]
    assert same(pack.entry(stem()), Entry(stem(), {".json": b"{}"}, arrays))


def test_one_record_is_read_without_the_rest(tmp_path, monkeypatch):
    cells = [Entry(stem(seed=f"{i:03d}"), {".json": b"{}"}, {"x": np.arange(i)}) for i in range(CHUNK + 1)]
    pack = packed(tmp_path / "p.zip", [*cells, Entry(stem("zoo"), {".json": b"{}"}, None)])
    read, plain = [], zipfile.ZipFile.read
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda self, name, pwd=None: read.append(name) or plain(self, name))
    pack.text(cells[-1].stem)
    assert read == ["0001/records"]
    pack.arrays(cells[0].stem)
    pack.arrays(cells[5].stem)
    assert read == ["0001/records", "0000/x.array"]


def test_a_damaged_file_is_named_or_read_right_wherever_a_byte_is_wrong(tmp_path):
    path, cells = tmp_path / "packed.zip", entries()
    packed(path, cells)
    whole, refused = path.read_bytes(), 0
    for place in [*range(0, len(whole), 37), *range(len(whole) - 60, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            pack = Pack(path)
            read = [pack.entry(cell.stem) for cell in cells]
        except UsageError as error:
            refused += f"'{path}' are damaged" in str(error) and "restore the file from a copy" in str(error)
        else:
            assert all(map(same, read, cells)), place
    assert refused > 100


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello" * 100])
def test_what_is_no_pack_is_refused(tmp_path, content):
    path = tmp_path / "packed.zip"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="damaged"):
        Pack(path)
    whole = io.BytesIO()
    write_pack(whole, entries())
    path.write_bytes(whole.getvalue()[:-100])
    with pytest.raises(UsageError, match="damaged"):
        Pack(path)


def forged(path: Path, change, rename=lambda name: name) -> Path:
    """A pack whose manifest went through `change`, and whose members are renamed."""
    original = io.BytesIO()
    write_pack(original, entries())
    source = zipfile.ZipFile(original)
    with zipfile.ZipFile(path, "w") as archive:
        for name in source.namelist():
            data = source.read(name)
            if name == MANIFEST:
                manifest = json.loads(data)
                change(manifest)
                data = json.dumps(manifest)
            archive.writestr(rename(name), data)
    return path


HOSTILE_STEMS = (
    "../../etc/passwd", "/etc/passwd", "cells/../../../../../x", "cells/a/b/c/../seed-1", "cells/a/b/c/d/..", "",
    "cells/a/b/c/d/.hidden", "cells\\a\\b\\c\\d\\e", "cells/a/b/c/d/e/f", "cells//b/c/d/e", "stages/a/b/c/d/e",
    "cells/a/b/c/d/e\x00", "cells/a/b/c/d/e\n", 7, None,
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_STEMS)
def test_paths_that_lead_elsewhere_are_refused(tmp_path, name):
    assert not isinstance(name, str) or packable(name, None)
    path = forged(tmp_path / "p.zip", lambda m: m["chunks"][0]["cells"][0].update(stem=name))
    with pytest.raises(UsageError, match=r"p\.zip' are damaged"):
        Pack(path)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..\\x"])
def test_members_that_lead_elsewhere_are_refused(tmp_path, name):
    def change(manifest):
        manifest["members"][name] = manifest["members"].pop("0000/records")

    path = forged(tmp_path / "p.zip", change, lambda member: name if member == "0000/records" else member)
    with pytest.raises(UsageError, match="a member is named"):
        Pack(path)


FORGERIES = {
    "no member": lambda m: m["members"].pop("0000/records"),
    "a cell twice": lambda m: m["chunks"].append(m["chunks"][0]),
    "objects": lambda m: m["chunks"][0]["arrays"]["gold"][0].__setitem__(0, "|O8"),
    "a huge array": lambda m: m["chunks"][0]["arrays"]["gold"][0].__setitem__(1, [2**40]),
    "an impossible array": lambda m: m["chunks"][0]["arrays"]["gold"][0].__setitem__(1, [-1]),
    "rows of another shape": lambda m: m["chunks"][0]["arrays"]["test_last"][0].__setitem__(1, [20, 8]),
    "told apart from itself": lambda m: m["chunks"][0]["arrays"]["test_last"][0].__setitem__(2, ["test_last", 0]),
    "told apart from a later one": lambda m: m["chunks"][0]["arrays"]["gold"][0].__setitem__(2, ["test_last", 0]),
    "told apart from another shape": lambda m: m["chunks"][0]["arrays"]["test_last"][0].__setitem__(2, ["gold", 0]),
    "told apart from none": lambda m: m["chunks"][0]["arrays"]["test_last"][0].__setitem__(2, ["gone", 0]),
    "told apart from the last": lambda m: m["chunks"][0]["arrays"]["test_last"][0].__setitem__(2, ["gold", -1]),
    "no such array": lambda m: m["chunks"][0]["cells"][0]["arrays"].update(gold=["gold", 9]),
    "an array before the first": lambda m: m["chunks"][0]["cells"][0]["arrays"].update(gold=["gold", -1]),
    "a long record": lambda m: m["chunks"][0]["cells"][-1]["texts"].update({".json": 10**9}),
    "a short record": lambda m: m["chunks"][0]["cells"][0]["texts"].update({".json": -1}),
    "another file": lambda m: m["chunks"][0]["cells"][0]["texts"].update({".sh": 1}),
    "another checksum": lambda m: m["members"]["0000/gold.array"].update(sha256="0" * 64),
    "another length": lambda m: m["members"]["0000/gold.array"].update(bytes=1),
    "no chunks": lambda m: m.pop("chunks"),
    "other chunks": lambda m: m.update(chunks=[[]]),
    "another format": lambda m: m.update(format="x"),
    "no version": lambda m: m.update(version="x"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_manifest_is_refused(tmp_path, what):
    path = forged(tmp_path / "p.zip", FORGERIES[what])
    with pytest.raises(UsageError, match=r"p\.zip' are damaged"):
        [Pack(path).entry(cell.stem) for cell in entries()]


def test_a_pack_of_a_newer_version_is_not_guessed_at(tmp_path):
    path = forged(tmp_path / "p.zip", lambda manifest: manifest.update(version=2))
    with pytest.raises(UsageError, match="newer version of bench: upgrade"):
        Pack(path)
