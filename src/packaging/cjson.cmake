# cjson_bind(OUTPUT): makes the object file OUTPUT from Debian's static archive of lua-cjson. In it, the functions that would end the
# process, take memory of no account, print, or depend on the locale are renamed to those of src/json/cjson.c, and everything but the opener
# is local. So it can be part of a shared library, and beside another lua-cjson in one program.
# A target that has OUTPUT among its sources needs add_dependencies(… cjson_object).
function(cjson_bind OUTPUT)
  set(NAMES ${OUTPUT}.names)
  set(WRAPPED fpconv_init fpconv_strtod) # lua-cjson's own functions
  list(JOIN WRAPPED " --wrap=" WRAP)
  separate_arguments(WRAP UNIX_COMMAND "--wrap=${WRAP}")
  file(CONFIGURE OUTPUT ${NAMES} CONTENT "malloc json_cjson_malloc
realloc json_cjson_realloc
free json_cjson_free
exit json_cjson_exit
abort json_cjson_abort
__assert_fail json_cjson_assert
__fprintf_chk json_cjson_print
stderr json_cjson_stderr
__wrap_fpconv_init json_cjson_init
__wrap_fpconv_strtod json_cjson_strtod
luaopen_cjson json_cjson_luaopen
")
  add_custom_command(OUTPUT ${OUTPUT}
    COMMAND ${CMAKE_LINKER} -r ${WRAP} -o ${OUTPUT} --whole-archive ${CJSON_ARCHIVE}
    COMMAND ${CMAKE_OBJCOPY} --redefine-syms=${NAMES} ${OUTPUT}
    COMMAND ${CMAKE_OBJCOPY} --keep-global-symbol=json_cjson_luaopen ${OUTPUT} # llvm-objcopy renames after this, in one command
    DEPENDS ${CJSON_ARCHIVE} ${CMAKE_CURRENT_FUNCTION_LIST_FILE} VERBATIM)
  add_custom_target(cjson_object DEPENDS ${OUTPUT})
endfunction()
