# Layer: one static library a folder, so that link order repeats the floor plan (scripts/layers.py).
#
#   penstock_layer(NAME SOURCES a.c b.c [EMBED x.lua y.css] [DEPS base PkgConfig::UV])
#   penstock_test(NAME LABEL [SOURCES extra.c] [DEPS job])     NAME.c is the test's source
#
# An embedded file `lua/claim.lua` becomes `extern const char embed_claim_lua[]` and
# `extern const unsigned embed_claim_lua_len`, NUL-terminated.

set(EMBED_TOOL ${PROJECT_SOURCE_DIR}/scripts/cmake/embed.py)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

function(penstock_layer name)
    cmake_parse_arguments(L "" "" "SOURCES;EMBED;DEPS" ${ARGN})
    set(made)
    foreach(file ${L_EMBED})
        get_filename_component(base ${file} NAME)
        string(MAKE_C_IDENTIFIER ${base} symbol)
        set(out ${CMAKE_CURRENT_BINARY_DIR}/embed_${symbol}.c)
        add_custom_command(
            OUTPUT ${out}
            COMMAND ${Python3_EXECUTABLE} ${EMBED_TOOL} ${CMAKE_CURRENT_SOURCE_DIR}/${file}
                    embed_${symbol} ${out}
            DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${EMBED_TOOL})
        list(APPEND made ${out})
    endforeach()
    add_library(${name} STATIC ${L_SOURCES} ${made})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${L_DEPS})
endfunction()

function(penstock_test name label)
    if(NOT BUILD_TESTING)
        return()
    endif()
    cmake_parse_arguments(T "" "" "SOURCES;DEPS" ${ARGN})
    add_executable(${name} ${name}.c ${T_SOURCES})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PRIVATE ${T_DEPS} PkgConfig::CMOCKA)
    add_test(NAME ${label}.${name} COMMAND ${name})
    set_tests_properties(${label}.${name} PROPERTIES LABELS ${label} TIMEOUT 120)
endfunction()
