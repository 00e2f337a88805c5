"""Adds the configuration to the wheel: `conf/` becomes `adframe/conf/`. All else is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONF = Path(__file__).parent / "conf"


class BuildWithConf(build_py):
    """Copies the files of `conf/` next to the modules; an editable installation reads them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for file in self._files():
                self.mkpath(str(self._place(file).parent))
                self.copy_file(str(file), str(self._place(file)))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = super().get_outputs(include_bytecode)
        return (
            outputs if self.editable_mode else [*outputs, *(str(self._place(file)) for file in self._files())]
        )

    def _files(self) -> list[Path]:
        return sorted(CONF.rglob("*.yaml"))

    def _place(self, file: Path) -> Path:
        return Path(self.build_lib) / "adframe" / "conf" / file.relative_to(CONF)


setup(cmdclass={"build_py": BuildWithConf})
