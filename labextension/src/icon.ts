import { LabIcon } from '@jupyterlab/ui-components';

const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M11 5h2v3h-2zM6 10h12v2H6zM6 11h2v4H6zM16 11h2v4h-2zM11 8h2v7h-2z"/>
    <circle cx="12" cy="4" r="3"/>
    <rect x="3.5" y="14.5" width="5" height="6" rx="1"/>
    <rect x="9.5" y="14.5" width="5" height="6" rx="1"/>
    <rect x="15.5" y="14.5" width="5" height="6" rx="1"/>
  </g>
</svg>`;

/** One scheduler and its workers. */
export const scaleIcon = new LabIcon({
  name: 'jupyter-scale:scale',
  svgstr: svg
});
