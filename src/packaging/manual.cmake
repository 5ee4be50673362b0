# Writes a text of the command into a file: cmake -DCOMMAND=modalua [-DWORDS=completion,bash] -DOUTPUT=modalua.1 -P manual.cmake
# WORDS are those of the command, with commas between them; without them, the text is the manual page. When the command fails, no part of
# it is left.
if(NOT WORDS)
  set(WORDS manual)
endif()
string(REPLACE "," ";" words "${WORDS}")
get_filename_component(folder ${OUTPUT} DIRECTORY)
file(MAKE_DIRECTORY ${folder})
execute_process(COMMAND ${COMMAND} -E ${words} OUTPUT_FILE ${OUTPUT} RESULT_VARIABLE failed)
if(failed)
  file(REMOVE ${OUTPUT})
  message(FATAL_ERROR "${COMMAND} ${WORDS}: ${failed}")
endif()
