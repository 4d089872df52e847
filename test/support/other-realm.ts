/**
 * Loads modules of this package into a realm of their own, as Jest does with all that a test imports: there, the errors
 * and arrays that Node's own modules make are none of the global `Error` and `Uint32Array`. Needs
 * `--experimental-vm-modules`.
 */
import { readFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

/** Imports a file of `dist/` in a new realm; packages and Node's modules are those of this one. */
export async function importInOtherRealm(url: string): Promise<Record<string, unknown>> {
  const shared = [
    'process',
    'Buffer',
    'URL',
    'AbortController',
    'AbortSignal',
    'performance',
    'Uint8Array',
    'ArrayBuffer',
  ];
  const timers = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'queueMicrotask'];
  const events = ['DOMException', 'EventTarget', 'Event', 'TextDecoder', 'TextEncoder', 'structuredClone', 'Atomics'];
  const given = [...shared, ...timers, ...events].map((name) => [name, globalThis[name as keyof typeof globalThis]]);
  const context = vm.createContext(Object.fromEntries(given));
  const known = new Map<string, Promise<vm.Module>>();
  const load = (specifier: string, from: string): Promise<vm.Module> => {
    const isOwn = specifier.startsWith('.') || specifier.startsWith('file:');
    const place = isOwn ? new URL(specifier, from).href : specifier;
    const found = known.get(place) ?? (isOwn ? loadOwn(place) : loadShared(place));
    known.set(place, found);
    return found;
  };
  const loadOwn = async (place: string): Promise<vm.Module> =>
    new vm.SourceTextModule(await readFile(fileURLToPath(place), 'utf8'), {
      context,
      identifier: place,
      initializeImportMeta: (meta) => {
        meta.url = place;
      },
      importModuleDynamically: async (specifier: string) => ready(await load(specifier, place)),
    } as vm.SourceTextModuleOptions);
  const loadShared = async (place: string): Promise<vm.Module> => {
    const namespace: Record<string, unknown> = await import(isBuiltin(place) ? place : import.meta.resolve(place));
    const names = Object.keys(namespace);
    return new vm.SyntheticModule(
      names,
      function set() {
        for (const name of names) this.setExport(name, namespace[name]);
      },
      { context },
    );
  };
  const ready = async (module: vm.Module): Promise<vm.Module> => {
    if (module.status === 'unlinked') await module.link((specifier, from) => load(specifier, from.identifier));
    await module.evaluate();
    return module;
  };
  return (await ready(await load(url, url))).namespace as Record<string, unknown>;
}
