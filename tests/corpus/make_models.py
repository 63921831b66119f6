"""Writes models/, small crafted .npz and .safetensors files that no command may crash or hang on:
python make_models.py"""

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "models"
SHAPE = {"weight_hh_l0": (4, 4), "weight_ih_l0": (4, 2), "bias_ih_l0": (4,), "bias_hh_l0": (4,),
         "input": (6, 2, 2), "h0": (2, 4)}


def good_model():
    rng = np.random.default_rng(4)
    return {name: rng.standard_normal(shape) for name, shape in SHAPE.items()}


def npy(header, content=b"\0" * 128, version=1):
    """One array as bytes; the header is text that may lie."""
    text = header.encode("latin1").ljust(117) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2, "little") + text + content


def header(shape="(4, 4)", kind="'<f8'", order="False"):
    return f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"


def gated_model(gates):
    model = good_model()
    for name in ("weight_hh_l0", "weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
        model[name] = np.concatenate(gates * [model[name]])
    return model


LSTM, GRU = gated_model(4), gated_model(3)
CHANGED = {
    "good": {},
    "good_lstm": LSTM | {"c0": np.ones((1, 2, 4))},
    "good_gru": GRU,
    "lstm_without_recurrence": LSTM | {"weight_hh_l0": np.zeros((16, 4))},
    "c0_of_a_gru": GRU | {"c0": np.ones((2, 4))},
    "c0_of_an_rnn": {"c0": np.ones((2, 4))},
    "c0_of_another_batch": LSTM | {"c0": np.ones((3, 4))},
    "bias_of_one_gate": LSTM | {"bias_hh_l0": np.ones(4)},
    "two_gates": {"weight_hh_l0": np.ones((8, 4))},
    "projection": LSTM | {"weight_hr_l0": np.ones((4, 4))},
    "reversed_gru": GRU | {"weight_hh_l0_reverse": np.ones((12, 4))},
    "no_weight_hh": {"weight_hh_l0": None},
    "not_square": {"weight_hh_l0": np.ones((4, 3))},
    "lstm": {"weight_hh_l0": np.ones((16, 4))},
    "scalar": {"weight_hh_l0": np.float64(1)},
    "empty": {"weight_hh_l0": np.ones((0, 0))},
    "nan": {"weight_hh_l0": np.full((4, 4), np.nan)},
    "infinite": {"bias_ih_l0": np.full(4, np.inf)},
    "zero": {"weight_hh_l0": np.zeros((4, 4))},
    "nilpotent": {"weight_hh_l0": np.triu(np.ones((4, 4)), 1)},
    "subnormal": {"weight_hh_l0": np.full((4, 4), 5e-324)},
    "largest": {"weight_hh_l0": np.full((4, 4), 1.7e308)},
    "no_eigenvectors": {"weight_hh_l0": np.eye(4) + np.diag(np.full(3, 1e300), 1)},
    "half_precision": {"weight_hh_l0": np.ones((4, 4), np.float16)},
    "complex": {"weight_hh_l0": np.ones((4, 4), complex)},
    "objects": {"weight_hh_l0": np.full((4, 4), None, object)},
    "strings": {"weight_hh_l0": np.full((4, 4), "1")},
    "two_layers": {"weight_hh_l1": np.ones((4, 4))},
    "two_directions": {"weight_hh_l0_reverse": np.ones((4, 4))},
    "input_of_another_width": {"input": np.ones((6, 2, 3))},
    "input_without_steps": {"input": np.ones((0, 2, 2))},
    "h0_of_another_batch": {"h0": np.ones((3, 4))},
    "five_dimensions": {"input": np.ones((1, 1, 1, 6, 2))},
    "name_of_control_bytes": {"a\x1b[2J\nb": np.ones(1)},
    "name_that_leads_out": {"../../weight_hh_l0": np.ones((4, 4))},
}
LYING = {
    "shape_too_large": npy(header("(4294967296, 4294967296)")),
    "shape_that_overflows": npy(header("(9223372036854775807, 16)")),
    "shape_of_many_digits": npy(header("(" + "9" * 60 + ",)")),
    "shape_negative": npy(header("(-4, -4)")),
    "shape_of_nothing": npy(header("(,)")),
    "shape_without_end": npy(header("(4, 4")),
    "less_data": npy(header(), b"\0" * 8),
    "more_data": npy(header(), b"\0" * 1024),
    "unknown_type": npy(header(kind="'<f99'")),
    "nested_type": npy(header(kind="[" * 40)),
    "odd_order": npy(header(order="Maybe")),
    "twice_the_key": npy(header()[:-3] + ", 'shape': (2, 2)}"),
    "code_for_a_header": npy("__import__('os').abort()"),
    "header_beyond_the_end": b"\x93NUMPY\1\0\xff\xff{",
    "header_of_version_9": npy(header(), version=9),
    "magic_alone": b"\x93NUMPY",
    "no_npy": b"",
}


def write(name, model):
    np.savez(FOLDER / f"{name}.npz", **{k: v for k, v in model.items() if v is not None})


def tensors_of(model):
    """The header of a .safetensors file as a dict, and the numbers as bytes."""
    header, data = {"__metadata__": {"format": "np"}}, b""
    for name, array in model.items():
        begin = len(data)
        data += array.tobytes()
        header[name] = {"dtype": {4: "F32", 8: "F64"}[array.itemsize], "shape": list(array.shape),
                        "data_offsets": [begin, len(data)]}
    return header, data


def write_tensors(name, header, data, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    (FOLDER / f"{name}.safetensors").write_bytes(struct.pack("<Q", length) + text + data)


def changed_tensors():
    """(name, header, data) of files that lie in one place."""
    header, data = tensors_of(good_model())
    weight = header["weight_hh_l0"]

    def with_weight(**changes):
        return header | {"weight_hh_l0": weight | changes}

    text = json.dumps(header).encode()
    end = len(data)
    yield "another_type", with_weight(dtype="I64"), data
    yield "type_of_control_bytes", with_weight(dtype="\x1b[2J\n"), data
    yield "shape_too_large", with_weight(shape=[2**32, 2**32]), data
    yield "shape_beyond_integers", with_weight(shape=[2**64, 2]), data
    yield "shape_negative", with_weight(shape=[-4, -4]), data
    yield "shape_of_fractions", with_weight(shape=[4.0, 4.0]), data
    yield "shape_of_five_dimensions", with_weight(shape=[1, 1, 1, 4, 4]), data
    yield "shape_of_fewer", with_weight(shape=[4, 3]), data
    yield "place_beyond_the_end", with_weight(data_offsets=[end, end + 128]), data
    yield "place_of_another", with_weight(data_offsets=header["input"]["data_offsets"]), data
    yield "place_before_the_start", with_weight(data_offsets=[-128, 0]), data
    yield "place_backwards", with_weight(data_offsets=[128, 0]), data
    yield "gap", header | {"bias_ih_l0": header["bias_hh_l0"]}, data
    yield "less_data", header, data[:-8]
    yield "more_data", header, data + bytes(8)
    yield "no_weight_hh", {"decoder.weight": weight}, data[:128]
    yield "no_offsets", header | {"h0": {"dtype": "F64", "shape": [2, 4]}}, data
    yield "array_that_is_a_number", header | {"h0": 1}, data
    yield "name_of_control_bytes", {"\x1b[2J\n": weight}, data[:128]
    yield "name_twice", text[:-1] + b', "h0": ' + json.dumps(header["h0"]).encode() + b"}", data
    yield "deep", b'{"a":' + 20000 * b"[", b""
    yield "no_json", b"{" + 64 * b"\xff", b""
    yield "text_after_the_json", text + b" {}", data
    yield "spaces_after_the_json", text + 9 * b" ", data


def write_all_tensors():
    for name, model in {"good": good_model(), "good_lstm": LSTM | {"c0": np.ones((2, 4))},
                        "good_gru": GRU, "nan": good_model() | {"h0": np.full((2, 4), np.nan)},
                        "c0_of_a_gru": GRU | {"c0": np.ones((2, 4))}}.items():
        write_tensors(name, *tensors_of(model))
    for name, header, data in changed_tensors():
        write_tensors(name, header, data)
    header, data = tensors_of(good_model())
    write_tensors("header_beyond_the_end", header, data, 10**6)
    write_tensors("header_beyond_integers", header, data, 2**64 - 1)
    write_tensors("header_cut", header, data, 100)
    write_tensors("header_of_nothing", b"{", b"", 0)
    write_tensors("single", *tensors_of({k: v.astype("<f4") for k, v in LSTM.items()}))


def write_members(name, members, **options):
    with zipfile.ZipFile(FOLDER / f"{name}.npz", "w", **options) as archive:
        for member, content in members:
            archive.writestr(zipfile.ZipInfo(member), content)


def write_lies():
    for name, content in LYING.items():
        write_members(name, [("weight_hh_l0.npy", content)])
    write_members("member_twice", 2 * [("weight_hh_l0.npy", npy(header()))])
    write_members("many_members", [(f"{i}.npy", b"") for i in range(257)])
    with zipfile.ZipFile(FOLDER / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weight_hh_l0.npy", npy(header("(1000, 1000)"), bytes(8_000_000)))


def write_damaged():
    stream = io.BytesIO()
    np.savez(stream, **good_model())
    whole = stream.getvalue()

    def damaged(name, content):
        (FOLDER / f"{name}.npz").write_bytes(content)

    directory = whole.rindex(b"PK\1\2")
    damaged("cut_in_the_middle", whole[:len(whole) // 2])
    damaged("cut_at_the_end", whole[:-1])
    damaged("empty_file", b"")
    damaged("text", b"PK, but not for long\n" * 9)
    damaged("size_that_lies", whole[:directory + 24] + b"\xf0\xff\xff\xff" + whole[directory + 28:])
    damaged("place_that_lies", whole[:directory + 42] + b"\xff\xff\xff\x7f" + whole[directory + 46:])
    damaged("another_method", whole[:directory + 10] + b"\x63\0" + whole[directory + 12:])
    damaged("encrypted", whole[:directory + 8] + b"\1\0" + whole[directory + 10:])
    at = whole.index(b"\x93NUMPY") + 128
    damaged("another_checksum", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])


def main():
    FOLDER.mkdir(exist_ok=True)
    for path in [*FOLDER.glob("*.npz"), *FOLDER.glob("*.safetensors")]:
        path.unlink()
    for name, changes in CHANGED.items():
        write(name, good_model() | changes)
    write_lies()
    write_damaged()
    write_all_tensors()


if __name__ == "__main__":
    main()
