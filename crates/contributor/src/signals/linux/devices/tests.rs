//! With made folders of devices, real notices of the kernel, and the real open files of this process.

use std::fs::File;
use std::time::{Duration, Instant};

use super::*;

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(desk.dev()).unwrap();
        fs::create_dir(desk.asound()).unwrap();
        desk
    }

    fn dev(&self) -> PathBuf {
        self.folder.path().join("dev")
    }

    fn asound(&self) -> PathBuf {
        self.folder.path().join("asound")
    }

    fn status(&self, stream: &str, text: &str) {
        let stream = self.asound().join(stream);
        fs::create_dir_all(&stream).unwrap();
        fs::write(stream.join("status"), text).unwrap();
    }

    fn devices(&self) -> Devices {
        Devices::at(&self.asound(), &self.dev(), Path::new("/proc"))
    }
}

/// Waits until no process has a camera open. A program that another test starts holds this process's files for an instant.
fn until_free(devices: &mut Devices) {
    let until = Instant::now() + Duration::from_secs(10);
    while devices.camera() != Reading::Known(false) {
        assert!(Instant::now() < until, "the camera is closed");
        std::thread::yield_now();
    }
}

#[test]
fn a_microphone_is_in_use_while_its_stream_is_open() {
    let desk = Desk::new();
    let devices = desk.devices();
    assert_eq!(devices.microphone(), Reading::Known(false), "no card at all");
    desk.status("card0/pcm0p/sub0", "state: RUNNING\nowner_pid   : 77\n");
    fs::write(desk.asound().join("cards"), " 0 [PCH]\n").unwrap();
    assert_eq!(devices.microphone(), Reading::Known(false), "music plays, nothing records");
    desk.status("card0/pcm0c/sub0", "closed\n");
    desk.status("card1/pcm2c/sub1", "closed\n");
    assert_eq!(devices.microphone(), Reading::Known(false));
    desk.status("card1/pcm2c/sub1", "state: RUNNING\nowner_pid   : 77\n");
    assert_eq!(devices.microphone(), Reading::Known(true));
    desk.status("card1/pcm2c/sub1", "state: PREPARED\n");
    assert_eq!(devices.microphone(), Reading::Known(true), "held open, about to record");
    desk.status("card1/pcm2c/sub1", "");
    assert_eq!(devices.microphone(), Reading::Known(false), "nothing said is nothing recorded");
    desk.status("card1/pcm2c/sub1", "closed\n");
    assert_eq!(devices.microphone(), Reading::Known(false));
    fs::remove_dir_all(desk.asound()).unwrap();
    assert_eq!(devices.microphone(), Reading::Unknown(Unknown::NoSource), "a kernel without sound");
}

#[test]
fn a_camera_is_in_use_while_a_process_has_it_open() {
    let desk = Desk::new();
    let camera = desk.dev().join("video0");
    fs::write(&camera, "").unwrap();
    fs::write(desk.dev().join("videocard"), "").unwrap();
    let mut devices = desk.devices();
    assert_eq!(devices.camera(), Reading::Known(false));
    let no_camera = File::open(desk.dev().join("videocard")).unwrap();
    assert_eq!(devices.camera(), Reading::Known(false), "that is another device");
    let film = File::open(&camera).unwrap();
    assert_eq!(devices.camera(), Reading::Known(true));
    let second = File::open(&camera).unwrap();
    drop(film);
    assert_eq!(devices.camera(), Reading::Known(true), "another program has it still");
    drop((second, no_camera));
    until_free(&mut devices);
}

#[test]
fn a_camera_that_is_in_use_already_is_seen_at_the_first_look() {
    let desk = Desk::new();
    fs::write(desk.dev().join("video3"), "").unwrap();
    let film = File::open(desk.dev().join("video3")).unwrap();
    assert_eq!(desk.devices().camera(), Reading::Known(true));
    drop(film);
}

#[test]
fn a_camera_that_is_plugged_in_later_is_watched_and_one_that_is_pulled_out_is_forgotten() {
    let desk = Desk::new();
    let camera = desk.dev().join("video1");
    let mut devices = desk.devices();
    assert_eq!(devices.camera(), Reading::Known(false), "no camera");
    for _ in 0..2 {
        fs::write(&camera, "").unwrap();
        assert_eq!(devices.camera(), Reading::Known(false));
        let film = File::open(&camera).unwrap();
        assert_eq!(devices.camera(), Reading::Known(true));
        fs::remove_file(&camera).unwrap();
        assert_eq!(devices.camera(), Reading::Known(false), "pulled out");
        drop(film);
    }
}

#[test]
fn open_files_are_searched_only_after_the_kernel_has_told_of_something() {
    let desk = Desk::new();
    let camera = desk.dev().join("video0");
    fs::write(&camera, "").unwrap();
    // A made list of processes, which a search reads and a look without one does not.
    let proc = desk.folder.path().join("proc");
    let files = proc.join("41/fd");
    fs::create_dir_all(&files).unwrap();
    let mut devices = Devices::at(&desk.asound(), &desk.dev(), &proc);
    for _ in 0..LOOKS {
        assert_eq!(devices.camera(), Reading::Known(false));
    }
    let real = camera.canonicalize().unwrap();
    std::os::unix::fs::symlink(&real, files.join("5")).unwrap();
    assert_eq!(devices.camera(), Reading::Known(false), "nothing was told, nothing is searched");
    drop(File::open(&camera).unwrap());
    assert_eq!(devices.camera(), Reading::Known(true), "told, and the process is found");
    fs::remove_file(files.join("5")).unwrap();
    // Whatever a search found too early, the look after it finds.
    assert_eq!(devices.camera(), Reading::Known(false));
}
