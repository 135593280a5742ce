//! What is started, with what, and how it ends.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use oh_runtime::{CommandSpec, End, ErrorKind, Outcome, Sandbox, SandboxExt, SandboxSpec};

use crate::case::{Case, case};
use crate::context::Context;
use crate::failure::{CaseResult, check, empty, equal, refused};
use crate::probe::{script, succeeds, text};

/// The kernel's limit for one argument with its end mark: 32 pages (`MAX_ARG_STRLEN`).
const LONGEST_ARGUMENT: usize = 32 * 4096;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(exit_codes_arrive),
        case!(signals_are_no_exit_codes),
        case!(a_missing_program_is_no_exit_code),
        case!(a_missing_interpreter_is_no_exit_code),
        case!(a_program_that_may_not_run_is_no_exit_code),
        case!(a_file_of_no_known_format_is_no_exit_code),
        case!(a_bad_working_folder_is_no_exit_code),
        case!(no_program_is_invalid),
        case!(a_nul_byte_is_invalid),
        case!(a_bad_variable_name_is_invalid),
        case!(arguments_arrive_as_they_are),
        case!(two_hundred_kilobytes_of_arguments_arrive),
        case!(the_longest_argument_arrives),
        case!(an_argument_over_128_kib_is_too_big),
        case!(arguments_over_the_kernels_limit_are_too_big),
        case!(the_working_folder_is_the_one_asked_for),
        case!(programs_are_found_in_the_path),
        case!(variables_are_set_and_replaced),
        case!(variables_of_one_command_are_not_the_next_ones),
        case!(the_sandboxs_variables_are_every_commands),
        case!(nothing_of_ours_is_in_the_environment),
    ]
}

/// Fails unless the command could not be started for this reason and is known not to have run.
async fn is_not_started(sandbox: &dyn Sandbox, spec: CommandSpec, kinds: &[ErrorKind]) -> CaseResult {
    let program = format!("{spec:?}");
    let error = refused(sandbox.run(spec).await, kinds)?;
    equal(&format!("outcome of {program}"), &error.outcome(), &Outcome::NotStarted)
}

async fn exit_codes_arrive(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    // 126, 127 and above 128 are what shells say of others: here they are what the command itself said.
    for code in [0, 1, 2, 126, 127, 128, 137, 255] {
        let output = sandbox.run(CommandSpec::shell(format!("exit {code}"))).await?;
        equal("end", &output.finished.end, &End::Exited(code))?;
        empty("what could not be killed", &output.finished.leaked)?;
    }
    Ok(())
}

async fn signals_are_no_exit_codes(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    for (name, number) in [("KILL", 9), ("SEGV", 11), ("TERM", 15), ("PIPE", 13), ("USR1", 10)] {
        let output = sandbox.run(CommandSpec::shell(format!("kill -{name} $$; sleep 30"))).await?;
        equal(name, &output.finished.end, &End::Signaled(number))?;
    }
    Ok(())
}

async fn a_missing_program_is_no_exit_code(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    for program in ["oh-no-such-program", "/no/such/program", "./no-such-program"] {
        is_not_started(&*sandbox, CommandSpec::new([program]), &[ErrorKind::ExecNotFound]).await?;
    }
    Ok(())
}

async fn a_missing_interpreter_is_no_exit_code(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let program = folder.join("program");
    sandbox.write(&program, b"#!/no/such/interpreter\n".to_vec(), 0o755).await?;
    // The program is there: what is missing is what it names.
    is_not_started(&*sandbox, CommandSpec::new([&program]), &[ErrorKind::ExecBadFormat]).await
}

async fn a_program_that_may_not_run_is_no_exit_code(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let program = folder.join("program");
    sandbox.write(&program, b"#!/bin/sh\nexit 0\n".to_vec(), 0o644).await?;
    for program in [&program, &folder] {
        is_not_started(&*sandbox, CommandSpec::new([program]), &[ErrorKind::ExecNotExecutable]).await?;
    }
    Ok(())
}

async fn a_file_of_no_known_format_is_no_exit_code(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    // A text without an interpreter line is a script to a shell, but not to the kernel.
    for (name, content) in [("binary", b"\x00\x01\x02\x03".as_slice()), ("text", b"exit 0\n")] {
        let program = folder.join(name);
        sandbox.write(&program, content.to_vec(), 0o755).await?;
        is_not_started(&*sandbox, CommandSpec::new([program]), &[ErrorKind::ExecBadFormat]).await?;
    }
    Ok(())
}

async fn a_bad_working_folder_is_no_exit_code(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let file = folder.join("file");
    sandbox.write(&file, b"".to_vec(), 0o644).await?;
    for bad in [folder.join("missing"), file] {
        let spec = CommandSpec::new(["true"]).cwd(bad);
        is_not_started(&*sandbox, spec, &[ErrorKind::ExecBadCwd]).await?;
    }
    Ok(())
}

async fn no_program_is_invalid(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let nothing: [&str; 0] = [];
    is_not_started(&*sandbox, CommandSpec::new(nothing), &[ErrorKind::ExecInvalid]).await?;
    is_not_started(&*sandbox, CommandSpec::new([""]), &[ErrorKind::ExecInvalid, ErrorKind::ExecNotFound])
        .await
}

async fn a_nul_byte_is_invalid(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let specs = [
        CommandSpec::new(["tr\0ue"]),
        CommandSpec::new(["echo", "a\0b"]),
        CommandSpec::new(["true"]).env("NAME", "a\0b"),
        CommandSpec::new(["true"]).env("NA\0ME", "a"),
        CommandSpec::new(["true"]).cwd("/\0"),
    ];
    for spec in specs {
        is_not_started(&*sandbox, spec, &[ErrorKind::ExecInvalid]).await?;
    }
    Ok(())
}

async fn a_bad_variable_name_is_invalid(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    for name in ["", "A=B"] {
        let spec = CommandSpec::new(["true"]).env(name, "value");
        is_not_started(&*sandbox, spec, &[ErrorKind::ExecInvalid]).await?;
    }
    Ok(())
}

async fn arguments_arrive_as_they_are(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut arguments: Vec<OsString> = [
        "",
        " ",
        "two words",
        "'",
        "\"",
        "\\",
        "$HOME",
        "$(touch /tmp/x)",
        "`id`",
        "a\nb\n",
        "\t",
        "*",
        "~",
        "-n",
        "--",
        ";",
        "|",
        "&&",
        "%s",
        "grüße",
        "日本語",
        "🦀",
        "\u{202e}",
    ]
    .map(OsString::from)
    .into();
    arguments.push(OsString::from_vec((1..=255).collect()));
    // Everything behind the format is printed with it, one after the other.
    let argv = ["printf", "%s\\0"].map(OsString::from).into_iter().chain(arguments.iter().cloned());
    let output = sandbox.run(CommandSpec::new(argv)).await?;
    let wanted: Vec<u8> =
        arguments.into_iter().flat_map(|word| word.into_vec().into_iter().chain([0])).collect();
    equal("arguments", &output.stdout.bytes, &wanted)
}

async fn two_hundred_kilobytes_of_arguments_arrive(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let words = (0..2000).map(|number| format!("{number:0100}"));
    let program = ["sh", "-c", "printf '%s\\n' \"$@\" | cksum; echo $#", "sh"].map(str::to_owned);
    let got = succeeds(&*sandbox, CommandSpec::new(program.into_iter().chain(words))).await?;
    let wanted = script(&*sandbox, "seq -f '%0100.0f' 0 1999 | cksum; echo 2000").await?;
    equal("checksum and count", &got, &wanted)
}

async fn the_longest_argument_arrives(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let longest = "x".repeat(LONGEST_ARGUMENT - 1);
    let got = succeeds(&*sandbox, CommandSpec::new(["sh", "-c", "printf %s ${#1}", "sh", &longest])).await?;
    equal("length", &got, &longest.len().to_string())
}

async fn an_argument_over_128_kib_is_too_big(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let too_long = "x".repeat(LONGEST_ARGUMENT);
    let argument = CommandSpec::new(["true", &too_long]);
    is_not_started(&*sandbox, argument, &[ErrorKind::ExecTooBig]).await?;
    let variable = CommandSpec::new(["true"]).env("LONG", &too_long);
    is_not_started(&*sandbox, variable, &[ErrorKind::ExecTooBig]).await
}

async fn arguments_over_the_kernels_limit_are_too_big(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    // Linux never takes more than 6 MiB, whatever the stack's limit is. Small and large ones, because a limit of ours
    // may come first.
    for count in [80, 800] {
        let word = "x".repeat(LONGEST_ARGUMENT - 1);
        let argv = std::iter::once("true").chain(std::iter::repeat_n(word.as_str(), count));
        is_not_started(&*sandbox, CommandSpec::new(argv), &[ErrorKind::ExecTooBig]).await?;
    }
    script(&*sandbox, "true").await.map(drop)
}

async fn the_working_folder_is_the_one_asked_for(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let odd = folder.join("odd name 'ä'\n2");
    succeeds(&*sandbox, CommandSpec::new(["mkdir".into(), odd.clone().into_os_string()])).await?;
    for wanted in [Path::new("/"), &folder, &odd] {
        let got = succeeds(&*sandbox, CommandSpec::new(["pwd"]).cwd(wanted)).await?;
        equal("working folder", &got, &format!("{}\n", wanted.display()))?;
    }
    let own = succeeds(&*sandbox, CommandSpec::new(["pwd"])).await?;
    check(own.starts_with('/'), format!("without being asked it is {own:?}"))
}

async fn programs_are_found_in_the_path(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let program = folder.join("oh-own-program");
    sandbox.write(&program, b"#!/bin/sh\necho found\n".to_vec(), 0o755).await?;
    let relative = CommandSpec::new(["./oh-own-program"]).cwd(&folder);
    equal("relative to the working folder", &succeeds(&*sandbox, relative).await?, &"found\n")?;
    equal("absolute", &succeeds(&*sandbox, CommandSpec::new([&program])).await?, &"found\n")?;
    let path = succeeds(&*sandbox, CommandSpec::shell("printf %s \"$PATH\"")).await?;
    check(path.contains("/usr/bin"), format!("PATH is {path:?}"))
}

async fn variables_are_set_and_replaced(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let values = ["", "plain", "two words", "a\nb", "grüße 🦀", "=x=", "'\"$HOME"];
    let names = ["A", "a_1", "NAME.WITH-ODD", "GRÜSSE", "PATH2", "HOME", "LANG"];
    let mut spec = CommandSpec::new(["env", "-0"]);
    for (name, value) in names.iter().zip(values) {
        spec = spec.env(*name, value);
    }
    let got = succeeds(&*sandbox, spec).await?;
    let lines: Vec<&str> = got.split('\0').collect();
    for (name, value) in names.iter().zip(values) {
        let own: Vec<&&str> = lines.iter().filter(|line| line.starts_with(&format!("{name}="))).collect();
        equal("variable", &own, &vec![&format!("{name}={value}").as_str()])?;
    }
    Ok(())
}

async fn variables_of_one_command_are_not_the_next_ones(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let print = || CommandSpec::shell("printf %s \"${OF_ONE-unset}\"");
    equal("with it", &succeeds(&*sandbox, print().env("OF_ONE", "set")).await?, &"set")?;
    equal("without it", &succeeds(&*sandbox, print()).await?, &"unset")
}

async fn the_sandboxs_variables_are_every_commands(cx: &Context) -> CaseResult {
    let env =
        [("OF_ALL", "grüße\n'2'"), ("REPLACED", "old")].map(|(name, value)| (name.into(), value.into()));
    let sandbox = cx.runtime()?.create(&SandboxSpec { env: env.into(), ..cx.spec()? }).await?;
    let print = CommandSpec::shell("printf '%s|%s' \"$OF_ALL\" \"$REPLACED\"");
    let output = sandbox.run(print.clone()).await?;
    equal("as the sandbox has them", &text(&output), &"grüße\n'2'|old")?;
    let output = sandbox.run(print.env("REPLACED", "new")).await?;
    equal("one replaced", &text(&output), &"grüße\n'2'|new")
}

async fn nothing_of_ours_is_in_the_environment(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let got = succeeds(&*sandbox, CommandSpec::new(["env", "-0"])).await?;
    let names: Vec<&str> =
        got.split_terminator('\0').filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // CARGO is in the environment of this test, which a backend on the same machine could let through.
    let leaked: Vec<&&str> = names
        .iter()
        .filter(|name| ["OH_", "KUBERNETES_", "CARGO", "RUST", "DOCKER_"].iter().any(|p| name.starts_with(p)))
        .collect();
    check(leaked.is_empty(), format!("there is {leaked:?}"))?;
    for needed in ["PATH", "HOME"] {
        check(names.contains(&needed), format!("{needed} is missing: there is {names:?}"))?;
    }
    Ok(())
}
