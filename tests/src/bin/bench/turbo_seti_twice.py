"""Searches FILE with turbo_seti twice in one process and prints what the second, warm search took and found.

The first search compiles turbo_seti's kernels. Both read the file. A .fil is rewritten as .h5 before any clock runs:
turbo_seti would do so itself and count it as searching. Arguments: FILE FOLDER MAX_DRIFT SNR COARSE_CHANNELS.
"""

import contextlib
import json
import logging
import os
import resource
import sys
import time
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main():
    recording, folder, max_drift, snr = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    coarse = int(sys.argv[5])
    with contextlib.redirect_stdout(sys.stderr):
        from blimpy import Waterfall
        from blimpy.io.hdf_writer import write_to_hdf5
        from turbo_seti.find_doppler.find_doppler import FindDoppler

        name = os.path.splitext(os.path.basename(recording))[0]
        h5 = os.path.join(folder, name + ".h5")
        if not os.path.exists(h5):
            whole = Waterfall(recording, max_load=8)
            # It wants to know where the telescope looked; a made recording looks nowhere.
            for angle in ("src_raj", "src_dej"):
                whole.header.setdefault(angle, 0.0)
            # Complete or not there.
            write_to_hdf5(whole, h5 + ".part")
            os.replace(h5 + ".part", h5)
        runs = []
        for _ in range(2):
            began, used = time.monotonic(), cpu_seconds()
            search = FindDoppler(
                h5, max_drift=max_drift, snr=snr, out_dir=folder, n_coarse_chan=coarse, gpu_backend=False
            )
            search.search(n_partitions=1)
            runs.append((cpu_seconds() - used, time.monotonic() - began))
    hits = []
    with open(os.path.join(folder, name + ".dat")) as table:
        for line in table:
            if not line.startswith("#"):
                fields = line.split()
                hits.append({"drift_hz_s": float(fields[1]), "snr": float(fields[2]), "frequency_mhz": float(fields[3])})
    print(json.dumps({"cold_cpu_s": runs[0][0], "cpu_s": runs[1][0], "wall_s": runs[1][1], "hits": hits}))


main()
