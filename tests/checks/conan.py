# SPDX-License-Identifier: MIT
"""Runs the Conan recipe against a stand-in for Conan: conan.py <repository>."""

import fnmatch
import importlib.util
import pathlib
import re
import shutil
import sys
import tempfile
import types

root = pathlib.Path(sys.argv[1]).resolve()
sys.dont_write_bytecode = True


def copy(_, pattern, source, target):
    for file in pathlib.Path(source).rglob("*"):
        relative = file.relative_to(source)
        if file.is_file() and fnmatch.fnmatch(str(relative), pattern):
            (pathlib.Path(target) / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, pathlib.Path(target) / relative)


required_standards = []
modules = {
    "conan": {"ConanFile": object},
    "conan.tools": {},
    "conan.tools.build": {"check_min_cppstd": lambda _, standard: required_standards.append(standard)},
    "conan.tools.files": {"copy": copy, "load": lambda _, path: pathlib.Path(path).read_text()},
    "conan.tools.layout": {"basic_layout": lambda *_, **__: None},
}
for name, members in modules.items():
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(members)

recipe_file = root / "cmake" / "packaging" / "conan" / "conanfile.py"
spec = importlib.util.spec_from_file_location("conanfile", recipe_file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

recipe = module.TweedieConan()
recipe.recipe_folder = str(recipe_file.parent)
recipe.set_version()
header = (root / "include/tweedie/version.hpp").read_text()
numbers = [re.search(rf"version_{part} = (\d+);", header).group(1) for part in ("major", "minor", "patch")]
assert recipe.version == ".".join(numbers), recipe.version
assert recipe.name == "tweedie" and recipe.license == "MIT" and recipe.package_type == "header-library"

requirements = []
recipe.requires = lambda reference, **options: requirements.append((reference, options))
recipe.requirements()
assert len(requirements) == 1 and requirements[0][0].startswith("eigen/"), requirements
assert requirements[0][1] == {"transitive_headers": True}
recipe.validate()
assert required_standards == [20]

with tempfile.TemporaryDirectory() as work:
    recipe.export_sources_folder = recipe.source_folder = work + "/source"
    recipe.package_folder = work + "/package"
    recipe.export_sources()
    recipe.package()
    package = pathlib.Path(recipe.package_folder)
    packaged = {str(file.relative_to(package)) for file in package.rglob("*") if file.is_file()}
headers = {str(file.relative_to(root)) for file in (root / "include").rglob("*") if file.is_file()}
assert packaged == headers | {"licenses/LICENSE"}, packaged ^ headers

properties = {}
recipe.cpp_info = types.SimpleNamespace(set_property=properties.__setitem__)
recipe.package_info()
assert properties == {
    "cmake_file_name": "tweedie",
    "cmake_target_name": "tweedie::tweedie",
    "pkg_config_name": "tweedie",
}
assert recipe.cpp_info.bindirs == [] and recipe.cpp_info.libdirs == []
