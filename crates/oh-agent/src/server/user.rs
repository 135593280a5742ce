//! Users as the image's own `/etc/passwd` and `/etc/group` name them. A static program has no other way.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// Most of a file that is read: what is behind it is not found.
const LIMIT: u64 = 4 * 1024 * 1024;

/// Whom a command runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups.
    pub(super) groups: Vec<u32>,
    /// Name, home folder and shell, when the image knows the user.
    pub(super) account: Option<Account>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: Vec<u8>,
    pub(super) home: Vec<u8>,
    pub(super) shell: Vec<u8>,
}

/// Finds `user`, `user:group`, each by name or number, as `docker exec --user` does: a number need not be known to the
/// image, and a group that is given is the only one.
pub(super) fn find(text: &[u8]) -> Result<User, String> {
    let open = |path| match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{path} cannot be read: {error}")),
    };
    resolve(text, open("/etc/passwd")?, open("/etc/group")?)
}

fn resolve(text: &[u8], passwd: Option<impl Read>, group: Option<impl Read>) -> Result<User, String> {
    let (wanted, wanted_group) = match text.iter().position(|&byte| byte == b':') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let wanted_number = number(wanted);
    let mut user = None;
    for line in lines(passwd) {
        let [name, _, uid, gid, _, home, shell] = fields(&line);
        let (Some(uid), Some(gid)) = (number(uid), number(gid)) else { continue };
        if name == wanted || wanted_number == Some(uid) {
            let account = Account { name: name.to_vec(), home: home.to_vec(), shell: shell.to_vec() };
            user = Some(User { uid, gid, groups: Vec::new(), account: Some(account) });
            break;
        }
    }
    let mut user = match (user, wanted_number) {
        (Some(user), _) => user,
        (None, Some(uid)) => User { uid, ..User::default() },
        (None, None) => {
            return Err(format!("the image has no user {:?}", String::from_utf8_lossy(wanted)));
        }
    };
    match wanted_group {
        None => {
            let name = user.account.as_ref().map(|account| &account.name[..]);
            for line in lines(group) {
                let [_, _, gid, members] = fields(&line);
                let is_member = members.split(|&byte| byte == b',').any(|member| Some(member) == name);
                user.groups.extend(number(gid).filter(|gid| is_member && *gid != user.gid));
            }
        }
        Some(wanted) => {
            let known = lines(group).find_map(|line| {
                let [name, _, gid, _] = fields(&line);
                number(gid).filter(|_| name == wanted)
            });
            user.gid = known
                .or_else(|| number(wanted))
                .ok_or_else(|| format!("the image has no group {:?}", String::from_utf8_lossy(wanted)))?;
        }
    }
    Ok(user)
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn lines(file: Option<impl Read>) -> impl Iterator<Item = Vec<u8>> {
    let lines = file.into_iter().flat_map(|file| BufReader::new(file.take(LIMIT)).split(b'\n'));
    lines.map_while(Result::ok).filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// The fields of a line; missing ones are empty, as everybody else reads these files.
fn fields<const N: usize>(line: &[u8]) -> [&[u8]; N] {
    let mut fields = [&line[..0]; N];
    for (field, part) in fields.iter_mut().zip(line.split(|&byte| byte == b':')) {
        *field = part;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\n# nobody\nbroken\n\
                          ann:x:1000:100::/var/ann:/bin/sh\nbob:x:7:8:::\n";
    const GROUP: &str =
        "root:x:0:\nusers:x:100:ann\nvideo:x:44:bob,ann\naudio:x:29:annette\nwheel:x:10:ann\n";

    fn user(text: &str) -> Result<User, String> {
        resolve(text.as_bytes(), Some(PASSWD.as_bytes()), Some(GROUP.as_bytes()))
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let ann = user("ann").unwrap();
        assert_eq!((ann.uid, ann.gid, &ann.groups[..]), (1000, 100, &[44, 10][..]));
        assert_eq!(user("1000").unwrap(), ann);
        let grouped = user("ann:video").unwrap();
        assert_eq!((grouped.uid, grouped.gid, &grouped.groups[..]), (1000, 44, &[][..]));
        assert_eq!(user("bob:5000").unwrap().gid, 5000);
        assert_eq!(user("4321").unwrap(), User { uid: 4321, ..User::default() });
        assert_eq!(user("4321:9").unwrap(), User { uid: 4321, gid: 9, ..User::default() });
    }

    #[test]
    fn what_is_unknown_is_named() {
        assert!(user("eve").unwrap_err().contains("no user \"eve\""));
        assert!(user("ann:eve").unwrap_err().contains("no group \"eve\""));
        assert!(user("").unwrap_err().contains("no user"));
        let nothing = resolve(b"root", None::<&[u8]>, None::<&[u8]>);
        assert!(nothing.unwrap_err().contains("no user"));
        assert_eq!(resolve(b"5", None::<&[u8]>, None::<&[u8]>).unwrap().uid, 5);
    }
}
