//! The sensors of the session bus.

use super::services::{
    GameMode, GnomeSession, IdleMonitor, MuteScreenSaver, Player, PowerManagement, ScreenSaver,
};
use super::*;
use crate::signals::{Input, Session};

const SAVER: (&str, &str) = ("org.gnome.ScreenSaver", "/org/gnome/ScreenSaver");
const PLAYER_PATH: &str = "/org/mpris/MediaPlayer2";
const GAME_MODE: (&str, &str) = ("com.feralinteractive.GameMode", "/com/feralinteractive/GameMode");
const GNOME: (&str, &str) = ("org.gnome.SessionManager", "/org/gnome/SessionManager");
const POWER: (&str, &str) = ("org.freedesktop.PowerManagement", "/org/freedesktop/PowerManagement/Inhibit");
const MUTTER: (&str, &str) = ("org.gnome.Mutter.IdleMonitor", "/org/gnome/Mutter/IdleMonitor/Core");

fn locked(locked: bool) -> Change {
    Change::Session(Reading::Known(Session { locked, remote: false, on_screen: true }))
}

fn player(status: &str) -> Player {
    Player { status: Some(status.to_owned()) }
}

async fn starts_player(stage: &Stage, name: &str, player: Player) -> Connection {
    let name = format!("org.mpris.MediaPlayer2.{name}");
    service(&stage.session(), &name, PLAYER_PATH, player).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_saver_tells_of_the_lock_where_logind_does_not() {
    let Some(mut stage) = Stage::open() else { return };
    let mute = ("org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver");
    let _mute = service(&stage.session(), mute.0, mute.1, MuteScreenSaver).await;
    stage.watch(false, None);
    stage.until(Change::Session(unknown(Unknown::NoSource))).await;
    let saver = service(&stage.session(), SAVER.0, SAVER.1, ScreenSaver { active: Some(false) }).await;
    stage.until(locked(false)).await;
    {
        let object = saver.object_server().interface::<_, ScreenSaver>(SAVER.1).await.unwrap();
        object.get_mut().await.active = Some(true);
    }
    signal(&saver, SAVER.1, SAVER.0, "ActiveChanged", &true).await;
    stage.until(locked(true)).await;
    saver.close().await.unwrap();
    stage.until(Change::Session(unknown(Unknown::NoSource))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_plays_is_heard_wherever_it_comes_from() {
    let Some(mut stage) = Stage::open() else { return };
    let early = starts_player(&stage, "early", player("Paused")).await;
    stage.watch(false, None);
    stage.until(Change::Media(NO)).await;
    change::<Player>(&early, PLAYER_PATH, |player| player.status = Some("Playing".to_owned())).await;
    stage.until(Change::Media(YES)).await;
    change::<Player>(&early, PLAYER_PATH, |player| player.status = Some("Stopped".to_owned())).await;
    stage.until(Change::Media(NO)).await;
    let late = starts_player(&stage, "late", player("Playing")).await;
    stage.until(Change::Media(YES)).await;
    late.close().await.unwrap();
    stage.until(Change::Media(NO)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_hangs_holds_up_no_other() {
    let Some(mut stage) = Stage::open() else { return };
    let hung = starts_player(&stage, "hung", Player { status: None }).await;
    stage.watch(false, None);
    stage.until(Change::Media(unknown(Unknown::TimedOut))).await;
    let plays = starts_player(&stage, "plays", player("Playing")).await;
    stage.until(Change::Media(YES)).await;
    plays.close().await.unwrap();
    stage.until(Change::Media(unknown(Unknown::TimedOut))).await;
    hung.close().await.unwrap();
    stage.until(Change::Media(NO)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_players_some_are_looked_at_and_the_others_when_there_is_room() {
    let Some(mut stage) = Stage::open() else { return };
    let mut crowd = Vec::new();
    for number in 0..32 {
        crowd.push(starts_player(&stage, &format!("quiet{number}"), player("Paused")).await);
    }
    stage.watch(false, None);
    stage.until(Change::Media(NO)).await;
    let _one_more = starts_player(&stage, "one_more", player("Playing")).await;
    // Somebody who is told later than this player came, so that it has been passed over by then.
    let game = service(&stage.session(), GAME_MODE.0, GAME_MODE.1, GameMode { clients: Some(1) }).await;
    stage.until(Change::Game(YES)).await;
    assert_eq!(stage.latest(&Change::Media(NO)), Some(&Change::Media(NO)));
    drop(game);
    crowd.pop().unwrap().close().await.unwrap();
    stage.until(Change::Media(YES)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_is_known_while_it_runs() {
    let Some(mut stage) = Stage::open() else { return };
    stage.watch(false, None);
    stage.until(Change::Game(NO)).await;
    let mode = service(&stage.session(), GAME_MODE.0, GAME_MODE.1, GameMode { clients: Some(0) }).await;
    change::<GameMode>(&mode, GAME_MODE.1, |mode| mode.clients = Some(2)).await;
    stage.until(Change::Game(YES)).await;
    {
        let object = mode.object_server().interface::<_, GameMode>(GAME_MODE.1).await.unwrap();
        object.get_mut().await.clients = Some(0);
    }
    signal(&mode, GAME_MODE.1, GAME_MODE.0, "GameUnregistered", &(1_i32,)).await;
    stage.until(Change::Game(NO)).await;
    change::<GameMode>(&mode, GAME_MODE.1, |mode| mode.clients = Some(1)).await;
    stage.until(Change::Game(YES)).await;
    mode.close().await.unwrap();
    stage.until(Change::Game(NO)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_keeps_the_screen_on_is_known_by_any_of_the_desktops() {
    let Some(mut stage) = Stage::open() else { return };
    stage.watch(false, None);
    stage.until(Change::Inhibited(unknown(Unknown::NoSource))).await;
    // Suspending is forbidden here, the screen may still go dark.
    let gnome = service(&stage.session(), GNOME.0, GNOME.1, GnomeSession { actions: Some(4) }).await;
    stage.until(Change::Inhibited(NO)).await;
    change::<GnomeSession>(&gnome, GNOME.1, |gnome| gnome.actions = Some(12)).await;
    stage.until(Change::Inhibited(YES)).await;
    change::<GnomeSession>(&gnome, GNOME.1, |gnome| gnome.actions = Some(0)).await;
    stage.until(Change::Inhibited(NO)).await;
    let kde = service(&stage.session(), POWER.0, POWER.1, PowerManagement { inhibited: true }).await;
    stage.until(Change::Inhibited(YES)).await;
    {
        let object = kde.object_server().interface::<_, PowerManagement>(POWER.1).await.unwrap();
        object.get_mut().await.inhibited = false;
    }
    let interface = "org.freedesktop.PowerManagement.Inhibit";
    signal(&kde, POWER.1, interface, "HasInhibitChanged", &false).await;
    stage.until(Change::Inhibited(NO)).await;
    gnome.close().await.unwrap();
    kde.close().await.unwrap();
    stage.until(Change::Inhibited(unknown(Unknown::NoSource))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_of_gnome_tells_when_somebody_comes_and_leaves() {
    let Some(mut stage) = Stage::open() else { return };
    let monitor = IdleMonitor { idle_millis: 40, watches: 0 };
    let shell = service(&stage.session(), MUTTER.0, MUTTER.1, monitor).await;
    stage.watch(true, None);
    let active = Change::Input(Reading::Known(Input::Active));
    stage.until(active.clone()).await;
    let idle = |change: &Change| matches!(change, Change::Input(Reading::Known(Input::IdleSince(_))));
    for round in 0..3_u32 {
        {
            let object = shell.object_server().interface::<_, IdleMonitor>(MUTTER.1).await.unwrap();
            object.get_mut().await.idle_millis = 1000;
        }
        // The first of the watches is that for idleness.
        signal(&shell, MUTTER.1, MUTTER.0, "WatchFired", &1_u32).await;
        stage.until_like(&active, idle).await;
        signal(&shell, MUTTER.1, MUTTER.0, "WatchFired", &(2 + round)).await;
        stage.until(active.clone()).await;
    }
    shell.close().await.unwrap();
    stage.until(Change::Input(unknown(Unknown::NoSource))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_is_not_told_where_a_display_tells_it() {
    let Some(mut stage) = Stage::open() else { return };
    let monitor = IdleMonitor { idle_millis: 40, watches: 0 };
    let _shell = service(&stage.session(), MUTTER.0, MUTTER.1, monitor).await;
    stage.watch(false, None);
    stage.until(Change::Game(NO)).await;
    stage.until(Change::Media(NO)).await;
    let input = Change::Input(Reading::Known(Input::Active));
    assert_eq!(stage.latest(&input), None);
}
