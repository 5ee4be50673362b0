# Writes the Lua half as C arrays of text: cmake -DOUTPUT=… "-DSOURCES=a.lua;b.lua" -P embed.cmake
# A file lua/modalua/x.lua becomes the module modalua.x with the chunk name =modalua/x.lua, so tracebacks show its real lines.
set(arrays "")
set(rows "")
foreach(source IN LISTS SOURCES)
  get_filename_component(name "${source}" NAME_WE)
  file(READ "${source}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char text_${name}[] = { ${bytes} 0 };\n")
  string(APPEND rows
    "    { \"modalua.${name}\", \"=modalua/${name}.lua\", text_${name}, sizeof text_${name} - 1 },\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"embed/embedded.h\"\n\n${arrays}\nconst embedded_module embedded_modules[] = {\n${rows}    { 0, 0, 0, 0 }\n};\n")
