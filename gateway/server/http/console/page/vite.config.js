import { defineConfig } from 'vite';

export default defineConfig({
  base: './', // every address is relative: the page works under any prefix
  build: {
    outDir: '../static',
    emptyOutDir: true,
    assetsInlineLimit: 0, // no data: addresses beyond those of the libraries, so that the policy can stay strict
    chunkSizeWarningLimit: 8192, // the editor is one big chunk, loaded from this machine and cached for good
  },
  worker: { format: 'es' },
});
