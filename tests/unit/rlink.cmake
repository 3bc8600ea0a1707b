# The link's tests, against a real redis-server. Where the system's hiredis has no TLS (Debian 12) and
# scripts/get-hiredis-tls has brought one that has, the link is built a second time against that one
# and the same tests run again, with the TLS ones: both ages of hiredis, and TLS, on one machine.
set(SUPPORT ${PROJECT_SOURCE_DIR}/tests/support)
set(RLINK_TESTS test_rlink test_rlink_faults test_rlink_sentinel test_rlink_names test_rlink_tls)
set(RLINK_SUPPORT ${SUPPORT}/redisd.c ${SUPPORT}/rsync.c ${SUPPORT}/linkprobe.c ${SUPPORT}/certs.c)

foreach(name ${RLINK_TESTS})
    penstock_test(${name} redis SOURCES ${RLINK_SUPPORT} DEPS redis)
    set_tests_properties(redis.${name} PROPERTIES SKIP_RETURN_CODE 77)
endforeach()

set(HIREDIS_TLS ${PROJECT_SOURCE_DIR}/.deps/hiredis-tls)
if(HIREDIS_SSL_FOUND OR NOT OPENSSL_FOUND OR NOT EXISTS ${HIREDIS_TLS}/lib/libhiredis_ssl.a)
    return()
endif()
get_target_property(sources redis SOURCES)
list(TRANSFORM sources REPLACE rlink_notls.c rlink_tls.c)
list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/common/redis/)
add_library(redis_tls STATIC ${sources})
target_include_directories(redis_tls BEFORE PUBLIC ${HIREDIS_TLS}/include ${PROJECT_SOURCE_DIR})
target_link_libraries(redis_tls PUBLIC base ${HIREDIS_TLS}/lib/libhiredis_ssl.a
                      ${HIREDIS_TLS}/lib/libhiredis.a PkgConfig::OPENSSL PkgConfig::UV)
foreach(name ${RLINK_TESTS})
    add_executable(${name}_again ${name}.c ${RLINK_SUPPORT})
    target_link_libraries(${name}_again PRIVATE redis_tls PkgConfig::CMOCKA)
    add_test(NAME redis.${name}_again COMMAND ${name}_again)
    set_tests_properties(redis.${name}_again PROPERTIES LABELS redis TIMEOUT 120
                         SKIP_RETURN_CODE 77)
endforeach()

# The worker and the command line once more, with that hiredis, for the end-to-end tests of TLS. The
# archives are named as files: as targets they would bring the system's hiredis along.
set(PARTS admin run queue provider http conf job base)
foreach(program penstock-worker penstock)
    get_target_property(sources ${program} SOURCES)
    get_target_property(folder ${program} SOURCE_DIR)
    list(TRANSFORM sources PREPEND ${folder}/)
    add_executable(${program}-tls ${sources})
    set_target_properties(${program}-tls PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tls
                                                    OUTPUT_NAME ${program})
    target_include_directories(${program}-tls PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${program}-tls PRIVATE -Wl,--start-group)
    foreach(part ${PARTS})
        target_link_libraries(${program}-tls PRIVATE $<TARGET_FILE:${part}>)
        add_dependencies(${program}-tls ${part})
    endforeach()
    target_link_libraries(${program}-tls PRIVATE redis_tls -Wl,--end-group PkgConfig::CURL
                          PkgConfig::MHD PkgConfig::CJSON PkgConfig::UV m)
endforeach()
