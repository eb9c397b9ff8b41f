import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import type { Backend } from './lib/backend/backend';
import { tauri } from './lib/backend/tauri';
import { Present } from './lib/present.svelte';

// WebKitGTK says "C" under LC_ALL=C, which Intl refuses.
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en', configurable: true });
  Object.defineProperty(navigator, 'languages', { value: ['en'], configurable: true });
}

async function backend(): Promise<Backend> {
  if (!('__TAURI_INTERNALS__' in window) && import.meta.env.MODE !== 'production') {
    const { Demo, sceneAt } = await import('./lib/backend/demo');
    return new Demo(sceneAt(location.search));
  }
  return tauri;
}

const target = document.getElementById('page');
if (target) {
  const door = await backend();
  mount(App, { target, props: { present: new Present(door) } });
  // Two frames later the page stands on the screen; the window's watchdog waits for this word.
  requestAnimationFrame(() => requestAnimationFrame(() => void door.painted()));
}
