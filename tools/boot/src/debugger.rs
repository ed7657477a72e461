// SPDX-License-Identifier: GPL-2.0

//! QEMU's stub of a debugger: stops a machine at an address.
//!
//! It speaks the remote protocol of gdb. What is needed of it here fits into this file, and no crate
//! for that side of the protocol is kept up.

use anyhow::{Context, Result, bail, ensure};
use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use util::command::Cmd;

/// What a debugger is told when the machine has stopped at a breakpoint.
const TRAP: &str = "T05";

/// How long QEMU may take for an answer when the machine does not run.
const ANSWER: Duration = Duration::from_secs(30);

/// A debugger that waits for its machine.
pub struct Waiting {
    listener: UnixListener,
    /// The path of a socket has to be short, so it is not among the files of the machine.
    dir: TempDir,
}

/// A debugger, and its machine, which does not run until it is told to.
pub struct Debugger {
    stream: UnixStream,
}

/// A register, by the number that gdb gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(u8);

impl Register {
    /// The first argument.
    pub const X0: Self = Self(0);
    /// The program counter.
    pub const PC: Self = Self(32);
}

const SOCKET: &str = "gdb";

impl Waiting {
    /// A debugger that no machine has yet.
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join(SOCKET);
        let listener = UnixListener::bind(&path)
            .with_context(|| format!("cannot make the socket {}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, dir })
    }

    /// The command that switches a machine on, which then waits for this debugger.
    pub fn attached(&self, cmd: Cmd) -> Cmd {
        let path = self.dir.path().join(SOCKET);
        let socket = format!("socket,id=gdb,path={}", crate::machine::option_value(&path));
        cmd.args(["-S", "-chardev", &socket, "-gdb", "chardev:gdb"])
    }

    /// The debugger when its machine has come; not later than after `limit`.
    pub fn machine(self, limit: Duration) -> Result<Debugger> {
        let began = Instant::now();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(Debugger { stream });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            ensure!(began.elapsed() < limit, "QEMU did not come to its debugger");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Debugger {
    /// Lets the machine run until one of its processors is about to execute what is at `address`.
    pub fn run_to(&mut self, address: u64, limit: Duration) -> Result<()> {
        self.run_to_in_order(address, limit)
            .with_context(|| format!("the machine did not come to {address:#x}"))
    }

    fn run_to_in_order(&mut self, address: u64, limit: Duration) -> Result<()> {
        let place = format!("1,{address:x},4");
        self.command(&format!("Z{place}"))?;
        self.send("c")?;
        let stopped = self.receive(limit)?;
        ensure!(stopped.starts_with(TRAP), "it stopped with '{stopped}'");
        // The machine could not leave the address with the breakpoint still there.
        self.command(&format!("z{place}"))?;
        // Registers are those of the processor that stopped.
        let thread = stopped.split_once("thread:").and_then(|(_, rest)| rest.split_once(';'));
        let (thread, _) = thread.with_context(|| format!("no processor is in '{stopped}'"))?;
        self.command(&format!("Hg{thread}"))?;
        let at = self.register(Register::PC)?;
        ensure!(at == address, "it stopped at {at:#x}");
        Ok(())
    }

    /// What is in a register of the processor that stopped.
    pub fn register(&mut self, register: Register) -> Result<u64> {
        self.send(&format!("p{:x}", register.0))?;
        let digits = self.receive(ANSWER)?;
        let number = u64::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 16);
        // The bytes come in the order of memory.
        Ok(number.with_context(|| format!("{register:?} is '{digits}'"))?.swap_bytes())
    }

    /// Lets the machine run, and nothing stops it any more.
    pub fn leave(mut self) -> Result<()> {
        self.command("D")
    }

    fn command(&mut self, command: &str) -> Result<()> {
        self.send(command)?;
        let answer = self.receive(ANSWER)?;
        ensure!(answer == "OK", "QEMU answered '{answer}' to '{command}'");
        Ok(())
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        let framed = format!("${packet}#{:02x}", sum(packet.as_bytes()));
        self.stream.write_all(framed.as_bytes())?;
        let mut taken = [0];
        self.read(&mut taken, ANSWER)?;
        ensure!(taken == *b"+", "QEMU did not take '{packet}'");
        Ok(())
    }

    fn receive(&mut self, limit: Duration) -> Result<String> {
        let mut byte = [0];
        let mut packet = Vec::new();
        self.read(&mut byte, limit)?;
        ensure!(byte == *b"$", "QEMU sent a packet without a beginning");
        loop {
            self.read(&mut byte, ANSWER)?;
            if byte == *b"#" {
                break;
            }
            packet.extend_from_slice(&byte);
        }
        let mut digits = [0; 2];
        self.read(&mut digits, ANSWER)?;
        let text = String::from_utf8_lossy(&packet).into_owned();
        let expected = format!("{:02x}", sum(&packet));
        ensure!(digits == expected.as_bytes(), "the packet '{text}' was not sent like that");
        self.stream.write_all(b"+")?;
        Ok(text)
    }

    fn read(&mut self, bytes: &mut [u8], limit: Duration) -> Result<()> {
        self.stream.set_read_timeout(Some(limit))?;
        match self.stream.read_exact(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => bail!("QEMU has ended"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("QEMU said nothing for {} s", limit.as_secs())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Shutdown;

    /// What a debugger makes of QEMU's answers.
    fn with_answers<T: Send>(
        answers: &[&str],
        ask: impl FnOnce(&mut Debugger) -> Result<T> + Send,
    ) -> Result<T> {
        let (ours, mut theirs) = UnixStream::pair()?;
        for answer in answers {
            write!(theirs, "+${answer}#{:02x}", sum(answer.as_bytes()))?;
        }
        theirs.shutdown(Shutdown::Write)?;
        ask(&mut Debugger { stream: ours })
    }

    fn run_to(answers: &[&str]) -> Result<()> {
        with_answers(answers, |debugger| debugger.run_to(0x4a60_0000, Duration::from_secs(1)))
    }

    #[test]
    fn a_machine_stops_where_it_shall() {
        let there = "0000604a00000000";
        run_to(&["OK", "T05thread:02;", "OK", "OK", there]).unwrap();
        let elsewhere = run_to(&["OK", "T05thread:02;", "OK", "OK", "0400604a00000000"]);
        assert!(format!("{:#}", elsewhere.unwrap_err()).contains("stopped at 0x4a600004"));
    }

    #[test]
    fn a_machine_that_ends_did_not_come_there() {
        let ended = format!("{:#}", run_to(&["OK", "W00"]).unwrap_err());
        assert_eq!(ended, "the machine did not come to 0x4a600000: it stopped with 'W00'");
        assert!(run_to(&[]).is_err(), "there is no QEMU");
    }

    #[test]
    fn a_refusal_is_an_error() {
        let refused = format!("{:#}", run_to(&["E22"]).unwrap_err());
        assert!(refused.contains("'E22' to 'Z1,4a600000,4'"), "{refused}");
    }

    #[test]
    fn a_packet_has_to_be_what_its_sum_says() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"$OK#00").unwrap();
        assert!(Debugger { stream: ours }.receive(ANSWER).is_err());
    }

    #[test]
    fn a_register_comes_in_the_order_of_memory() {
        let x0 = with_answers(&["00000f4a00000000"], |debugger| debugger.register(Register::X0));
        assert_eq!(x0.unwrap(), 0x4a0f_0000);
    }
}
