-- Builds the module for stock Lua 5.4: luarocks make src/packaging/modalua-0.1.0-1.rockspec
-- The build needs the packages of vendor/apt-packages.txt that are not for the specs.
rockspec_format = "3.0"
package = "modalua"
version = "0.1.0-1"
source = {
  url = "file://modalua-0.1.0.tar.gz", -- scripts/package.sh makes it
  dir = "modalua-0.1.0",
}
description = {
  summary = "Lua scripts that talk to DICOM modalities through Orthanc",
  detailed = [[
    modalua finds and moves DICOM studies between modalities, through an Orthanc server.
    It never searches for more than it was asked for, and it reports a study as moved only when the study was moved.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua ~> 5.4" }
build = {
  type = "command",
  build_command = "cmake -S . -B build/rock -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF && cmake --build build/rock --target modalua_module",
  install = { lib = { modalua = "build/rock/module/modalua.so" } },
}
