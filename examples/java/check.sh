#!/bin/sh
# Gate: the Java package: layouts, every call, lifetimes, and the job with the C program's digest.
# SPDX-License-Identifier: MIT
#
#   sh examples/java/check.sh     needs a JDK of version 22 or later: JAVA_HOME, the path, or /usr/lib/jvm has it
. tests/gates/common.sh

# The first JDK that has java.lang.foreign for good.
jdk=
for home in "$JAVA_HOME" "$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")" /usr/lib/jvm/*; do
    version=$("$home/bin/javac" -version 2>/dev/null | sed -n 's/^javac \([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 22 ] && jdk=$home && break
done
if [ -z "$jdk" ]; then
    # Not `missing`: Debian 12 has no newer one than 17.
    skip "Java: no JDK of version 22 or later here"
    finish
fi

if ! $MAKE -s shared "$BUILD/examples/job" >"$tmp/log" 2>&1; then
    fail "the library"
    tail -n 20 "$tmp/log"
    finish
fi
b=$BUILD/java
rm -rf "$b/main" "$b/test"
mkdir -p "$b"
compile() {
    "$jdk/bin/javac" -Xlint:all,-restricted -Werror --release 22 -d "$b/$1" $2 $(find "examples/java/src/$1" -name '*.java')
}
check "javac $version, without a warning" compile main
check "javac $version, the tests" compile test "-cp $b/main"
check "javadoc" "$jdk/bin/javadoc" -quiet -Xdoclint:all,-missing -Werror -d "$b/doc" \
    $(find examples/java/src/main -name '*.java')

library=$(cd "$BUILD" && pwd)/libsinkattn.so
run() {
    "$jdk/bin/java" --enable-native-access=ALL-UNNAMED "-Dsinkattn.library=$library" -cp "$b/main:$b/test" "$@"
}
run sinkattn.CacheTest >"$tmp/tests" 2>&1 || grep -q ' failed$' "$tmp/tests" || fail "the tests: they broke off"
cat "$tmp/tests" | grep -v ' passed, '
passed=$((passed + $(grep -c '^ok ' "$tmp/tests")))
failed=$((failed + $(grep -c '^FAIL ' "$tmp/tests")))

expected=$("$BUILD/examples/job")
got=$(run sinkattn.Job 2>&1)
[ "$got" = "$expected" ] && ok "the job: $(echo "$got" | tail -n 1)" || fail "the job: $got, and not $expected"

finish
