"""Writes the .npz files beside it, which stand for what users' numpy writes: python make_npz.py"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent

MATRIX = np.arange(6.0).reshape(2, 3) / 4
CUBE = np.arange(24.0).reshape(2, 3, 4)

np.savez(HERE / "float64.npz", matrix=MATRIX, scalar=np.float64(-2.5), empty=np.zeros((0, 3)))
np.savez(HERE / "float32.npz", matrix=MATRIX.astype("f4"), third=np.float32(1) / np.float32(3))
np.savez(HERE / "fortran.npz", matrix=np.asfortranarray(MATRIX), cube=np.asfortranarray(CUBE))
np.savez_compressed(HERE / "compressed.npz", matrix=np.asfortranarray(MATRIX.astype("f4")),
                    cube=CUBE)
np.savez(HERE / "int64.npz", matrix=MATRIX, num_batches=np.arange(3))
np.savez(HERE / "big_endian.npz", matrix=MATRIX.astype(">f8"))
np.savez(HERE / "pickled.npz", matrix=np.array([None, {}], dtype=object))
np.savez(HERE / "text.npz", matrix=np.array(["tanh"]))
np.savez(HERE / "structured.npz", matrix=np.zeros(2, dtype=[("a", "<f4"), ("b", "<f8")]))
np.save(HERE / "single.npy", MATRIX)
