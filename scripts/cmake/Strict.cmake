# Strict: the language, the warnings and the hardening that every target of ours is built with.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

set(SANITIZE "" CACHE STRING "sanitizers to build with, such as address,undefined or thread")
option(FAULTS "build the named fault points in (tests only)" OFF)

add_compile_definitions(_GNU_SOURCE PENSTOCK_VERSION="${PROJECT_VERSION}")
add_compile_options(
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef
    -Wpointer-arith -Wwrite-strings -Werror -fno-strict-aliasing -fno-common)
# assert() states what our own code promises; it stays on in every build (docs/style.md).
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

if(SANITIZE)
    add_compile_options(-fsanitize=${SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_options(-fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE
                        -D_FORTIFY_SOURCE=2)
    add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
endif()
if(FAULTS)
    add_compile_definitions(PENSTOCK_FAULTS=1)
endif()
