# Writes the manual page: cmake -DCOMMAND=modalua -DOUTPUT=modalua.1 -P manual.cmake
# When the command fails, no part of a page is left.
execute_process(COMMAND ${COMMAND} -E manual OUTPUT_FILE ${OUTPUT} RESULT_VARIABLE failed)
if(failed)
  file(REMOVE ${OUTPUT})
  message(FATAL_ERROR "${COMMAND} manual: ${failed}")
endif()
