#!/bin/bash
set -uxo pipefail
cd /testbed
git status
git -c core.fileMode=false diff @BASE@
git checkout @BASE@ @TEST_FILES@
git apply -v - <<'EOF_114329324912'
@TEST_PATCH@
EOF_114329324912
: '>>>>> Start Test Output'
python3 -m pytest -rA @TEST_FILES@
: '>>>>> End Test Output'
git checkout @BASE@ @TEST_FILES@
