// The window's side of the door: commands and events of `hearth-window`.

import { invoke } from '@tauri-apps/api/core';
import { listen } from '@tauri-apps/api/event';
import type { Backend, Connection, Listener } from './backend';
import type { Answer, Command, Picture, Status } from './bindings';

export const tauri: Backend = {
  request: (command: Command) => invoke<Answer>('request', { command }),
  async watch(listener: Listener) {
    const ends = await Promise.all([
      listen<Status>('status', (event) => listener.status(event.payload)),
      listen<Picture>('picture', (event) => listener.picture(event.payload)),
      listen<Connection>('connection', (event) => listener.connection(event.payload)),
    ]);
    // What was said before this page listened is said again.
    await invoke('watch');
    return () => ends.forEach((end) => end());
  },
  saveText: (fileName: string, text: string) => invoke<string>('save_text', { fileName, text }),
  painted: () => invoke('painted'),
  locale: () => invoke<string>('locale'),
};
