//! What runs an instance's tests: the row's `eval_script`, made to record how the test command itself ended.

use crate::grading::{END_MARKER, EXIT_CODE_MARKER};
use crate::python::strip;

/// Where the script is put in the sandbox, for `/bin/bash` to run.
pub const SCRIPT_PATH: &str = "/eval.sh";

const SHEBANG: &str = "#!/bin/bash";
const OPTIONS: &str = "set -uxo pipefail";
const EXIT_CODE_VARIABLE: &str = "SWEBENCH_TEST_EXIT_CODE";

/// The script to run for a row's `eval_script`.
///
/// Such a script ends by putting the test files back, so its own exit code says nothing. Around the line that prints the
/// end of the tests' output go two more, which keep the exit code of the command before and print it outside of that
/// output. A script without such a line stays as it is, and grading trusts the log alone.
#[must_use]
pub fn build(eval_script: &str) -> String {
    let mut script = format!("{SHEBANG}\n{OPTIONS}\n");
    let mut recorded = false;
    for line in strip(eval_script).split('\n').filter(|line| ![SHEBANG, OPTIONS].contains(line)) {
        if !recorded && line.contains(END_MARKER) {
            recorded = true;
            script += &format!(
                "{EXIT_CODE_VARIABLE}=$?\n{line}\necho \"{EXIT_CODE_MARKER}: ${EXIT_CODE_VARIABLE}\"\n"
            );
        } else {
            script += line;
            script.push('\n');
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_kept_before_and_printed_after_the_end_of_output() {
        let row = "#!/bin/bash\nset -uxo pipefail\ncd /testbed\n: '>>>>> Start Test Output'\npytest -rA\n\
                   : '>>>>> End Test Output'\ngit checkout x\n: '>>>>> End Test Output'\n";
        let expected = "#!/bin/bash\nset -uxo pipefail\ncd /testbed\n: '>>>>> Start Test Output'\npytest -rA\n\
                        SWEBENCH_TEST_EXIT_CODE=$?\n: '>>>>> End Test Output'\n\
                        echo \">>>>> Test Exit Code: $SWEBENCH_TEST_EXIT_CODE\"\n\
                        git checkout x\n: '>>>>> End Test Output'\n";
        assert_eq!(build(row), expected);
    }

    #[test]
    fn a_script_without_the_end_marker_only_gets_its_head() {
        assert_eq!(build("\n\npytest\n\n"), "#!/bin/bash\nset -uxo pipefail\npytest\n");
        assert_eq!(build(""), "#!/bin/bash\nset -uxo pipefail\n\n");
    }

    #[test]
    fn head_lines_go_wherever_they_are_but_only_whole_ones() {
        let row = "#!/bin/bash -e\n set -uxo pipefail\nx\nset -uxo pipefail\ny";
        assert_eq!(build(row), "#!/bin/bash\nset -uxo pipefail\n#!/bin/bash -e\n set -uxo pipefail\nx\ny\n");
    }
}
