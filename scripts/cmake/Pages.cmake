# Pages: manual pages and shell completion, printed by the programs themselves from the tables that
# --help is made from; and what `cmake --install` puts where.
include(GNUInstallDirs)
set(pages ${CMAKE_BINARY_DIR}/pages)
file(MAKE_DIRECTORY ${pages})

# penstock_page(FILE PROGRAM ARGS...): FILE is what PROGRAM prints.
function(penstock_page file program)
    add_custom_command(OUTPUT ${pages}/${file}
        COMMAND ${CMAKE_COMMAND} -E env --unset=LD_PRELOAD $<TARGET_FILE:${program}> ${ARGN} > ${pages}/${file}
        DEPENDS ${program} VERBATIM)
    list(APPEND made ${pages}/${file})
    set(made ${made} PARENT_SCOPE)
endfunction()
penstock_page(penstock.1 penstock --print-man)
penstock_page(penstock-worker.8 penstock-worker --print-man)
penstock_page(penstock.bash penstock completion bash)
penstock_page(_penstock penstock completion zsh)
penstock_page(penstock.fish penstock completion fish)
add_custom_target(pages ALL DEPENDS ${made})

install(TARGETS penstock penstock-worker RUNTIME)
install(FILES ${pages}/penstock.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${pages}/penstock-worker.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
set(share ${CMAKE_INSTALL_DATADIR})
install(FILES ${pages}/penstock.bash DESTINATION ${share}/bash-completion/completions RENAME penstock)
install(FILES ${pages}/penstock.bash DESTINATION ${share}/bash-completion/completions RENAME penstock-worker)
install(FILES ${pages}/_penstock DESTINATION ${share}/zsh/site-functions)
install(FILES ${pages}/penstock.fish DESTINATION ${share}/fish/vendor_completions.d)
