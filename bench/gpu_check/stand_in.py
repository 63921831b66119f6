"""In compute-sanitizer's place in a dry run: runs the program and looks at nothing.

    stand_in.py --tool NAME --error-exitcode N PROGRAM ARGUMENTS...
"""

import subprocess
import sys

if sys.argv[1:] == ["--version"]:
    print("Version 9999.0: a stand-in, to which nothing is unknown")
    sys.exit(0)
code = subprocess.run(sys.argv[5:], check=False).returncode
print("ERROR SUMMARY: 0 errors, for nobody looked")
sys.exit(code)
