#!/bin/sh
# Makes the page: sh examples/node/page/build.sh FOLDER. Any server of files can serve FOLDER; the page is FOLDER/page/.
# SPDX-License-Identifier: MIT
here=$(cd "$(dirname "$0")" && pwd)
top=${SINKATTN:-$here/../../..}
mkdir -p "${1:?usage: sh build.sh FOLDER}" || exit 1
folder=$(cd "$1" && pwd)
# All that the model's code needs of a system is a clock; it finds no threads.
code="examples/node/page/writer.c -D_WASI_EMULATED_PROCESS_CLOCKS -lwasi-emulated-process-clocks"
for name in bpe families forward gguf llama2c load_gguf load_rotation matmul merge model plan pretok quant sentencepiece \
    support threads tokenizer; do
    code="$code examples/stream/$name.c"
done
SINKATTN=$top sh "$here/../build.sh" "$folder/dist" writer "$code" \
    "writer_open writer_close writer_why writer_cache writer_vocabulary writer_head_dim writer_heads writer_kv_heads
    writer_layers writer_encode writer_prompt writer_feed writer_text" || exit
cp "$top/examples/stream/models/vanilla.gguf" "$folder/dist/" || exit
mkdir -p "$folder/src" "$folder/page"
cp "$here"/../src/*.js "$folder/src/" && cp "$here"/*.html "$here"/*.js "$folder/page/"
