"""The earlier name of `python -m adframe.cli.explore`, which goes on working."""

import runpy

if __name__ == "__main__":
    runpy.run_module("adframe.cli.explore", run_name="__main__", alter_sys=True)
