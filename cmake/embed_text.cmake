# Turns a text file into a C header that defines it as one string, a line of text a line of C:
# schema.sql becomes schema_sql.
file(READ ${IN} text)
string(REPLACE "\\" "\\\\" text "${text}")
string(REPLACE "\"" "\\\"" text "${text}")
string(REPLACE "\n" "\\n\"\n    \"" text "${text}")
get_filename_component(name ${IN} NAME)
string(REPLACE "." "_" variable ${name})
file(WRITE ${OUT} "/* Written by the build from ${name}. */\nstatic const char ${variable}[] =\n    \"${text}\";\n")
