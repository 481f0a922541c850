# For DuckDB's own build, in its extension configuration:
#
#   duckdb_extension_load(density_peaks SOURCE_DIR /path/to/density_peaks DONT_LINK)
#
# DuckDB then adds CMakeLists.txt beside this file, which calls cargo. DONT_LINK, because the
# extension reaches DuckDB through the C API that a loadable extension is handed.
#
# Tried: CMakeLists.txt on its own (`cmake -B cmake-build . && cmake --build cmake-build`), with
# CMake 4.4; the extension it made loaded into DuckDB 2.0.0. Not tried: a build of DuckDB 2.0.0 from
# source with this file, and Windows.
duckdb_extension_load(density_peaks SOURCE_DIR ${CMAKE_CURRENT_LIST_DIR} DONT_LINK)
