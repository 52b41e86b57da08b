"""What pio and OpenOCD print, in the words docs/boards.md records, for the desk that STANDIN_DESK names.

The desk is a folder: <serial>.probe for each plugged-in probe, holding one word: what happens to an upload. A
good upload leaves <serial>.flashed, the build.json of what it got. OpenOCD's habit is kept: without
`adapter serial` it takes the first probe it finds.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

DESK = Path(os.environ["STANDIN_DESK"])
FINISHED = "** Programming Started **\n** Programming Finished **\n"
VERIFIED = "** Verify Started **\n** Verified OK **\n** Resetting Target **\nshutdown command invoked\n"
FAILED = "** OpenOCD init failed **\nshutdown command invoked\n\n*** [upload] Error 1\n"


def openocd(project: Path, flags: list[str]) -> int:
    """OpenOCD's part. Returns pio's exit code."""
    serial = flags[1].removeprefix("adapter serial ") if flags[:1] == ["-c"] else None
    probes = sorted(path.stem for path in DESK.glob("*.probe"))
    chosen = serial if serial in probes or serial is not None else (probes or [None])[0]
    if chosen not in probes:
        print(f"Error: open failed\nin procedure 'program'\n{FAILED}")
        return 1
    fate = (DESK / f"{chosen}.probe").read_text().strip()
    if fate == "no-permission":
        print(f"Error: libusb_open() failed with LIBUSB_ERROR_ACCESS\nError: open failed\n{FAILED}")
        return 1
    if fate == "no-target":
        print(f"Error: init mode failed (unable to connect to the target)\n{FAILED}")
        return 1
    if fate == "programming-failed":
        print(
            "** Programming Started **\nError: failed erasing sectors 0 to 3\n"
            "** Programming Failed **\n*** [upload] Error 1"
        )
        return 1
    if fate == "hang":
        (DESK / "hanging").write_text(str(os.getpid()))
        subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"], check=False)
    if fate == "verify-failed":
        print(
            FINISHED
            + "** Verify Started **\nError: checksum mismatch\n** Verify Failed **\n*** [upload] Error 1"
        )
        return 1
    shutil.copy(project / "build.json", DESK / f"{chosen}.flashed")
    print(FINISHED + (VERIFIED if fate != "unverified" else ""))
    return 0


def main() -> int:
    arguments = sys.argv[1:]
    project = Path(arguments[arguments.index("-d") + 1])
    with (DESK / "calls").open("a") as file:
        file.write(" ".join(arguments) + "\n")
    if arguments[-2:] != ["-t", "upload"]:
        print("the stand-in only uploads")
        return 2
    protocol = (DESK / "protocol").read_text() if (DESK / "protocol").exists() else "stlink"
    if protocol == "unknown":
        print("Warning! Unknown upload protocol stlnk\n===== [SUCCESS] Took 0.50 seconds =====")
        return 0
    if protocol == "mbed":
        print(
            f"Looking for upload disk...\nAuto-detected: {DESK / 'drive'}\n"
            "Uploading .pio/build/x/firmware.bin"
        )
        print("Firmware has been successfully uploaded.\n(Some boards may require manual hard reset)")
        return 0
    if protocol == "stuck":
        time.sleep(600)
    flags = os.environ.get("PLATFORMIO_UPLOAD_FLAGS", "").split("\n")
    code = openocd(project, [flag for flag in flags if flag])
    print(f"===== [{'SUCCESS' if code == 0 else 'FAILED'}] Took 1.00 seconds =====")
    return code


raise SystemExit(main())
