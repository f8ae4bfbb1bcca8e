"""Installs the build into an empty folder: make_tree.py CMAKE BUILD_FOLDER TREE."""

import os
import shutil
import subprocess
import sys

cmake, build, tree = sys.argv[1:]
shutil.rmtree(tree, ignore_errors=True)
subprocess.run([cmake, "--install", build, "--prefix", tree], check=True, stdout=subprocess.DEVNULL)
missing = [name for name in ("jobtracker", "tasktracker", "jobclient", "lts-runner-host", "jobtracker.sh", "tasktracker.sh")
           if not os.access(os.path.join(tree, "bin", name), os.X_OK)]
if missing:
    sys.exit(f"not installed below {tree}/bin: {', '.join(missing)}")
