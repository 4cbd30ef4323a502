import type { ITranslator } from '@jupyterlab/translation';
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type { AccordionPanel, PanelLayout } from '@lumino/widgets';
import * as React from 'react';

import { Announced } from './announced';
import { ClusterSection } from './clustersection';
import type { IContext } from './context';
import { DiagnosticSection } from './diagnosticsection';
import { ExportSection } from './exportsection';
import { scaleIcon } from './icon';
import { NewSearchSection } from './newsearchsection';
import { RunSection } from './runsection';
import { SearchSection } from './searchsection';

export const PANEL = 'jupyter-scale-panel';
const NEW_SEARCH = 1;
const RUNS = 3;
const EXPORT = 5;
/** Of the sections, when one of these is opened: they are long. */
const SIZES: Readonly<Record<number, number[]>> = {
  [NEW_SEARCH]: [3, 16, 3, 0, 2, 0],
  [RUNS]: [3, 0, 4, 10, 2, 0],
  [EXPORT]: [2, 0, 2, 0, 1, 30]
};

/** A section; tells whether it is in sight. */
class Section extends ReactWidget {
  constructor(
    private readonly _body: JSX.Element,
    private readonly _shown?: (isShown: boolean) => void
  ) {
    super();
    this.addClass('jps-Section');
  }

  protected render(): JSX.Element {
    return this._body;
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._shown?.(this.isVisible);
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._shown?.(true);
  }

  protected onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this._shown?.(false);
  }
}

/** The side panel: a section for each thing to do. */
export class Panel extends SidePanel {
  constructor(context: IContext, translator: ITranslator) {
    super({ translator });
    const { runs, trans } = context;
    this.id = PANEL;
    this.addClass('jps-Panel');
    this.title.icon = scaleIcon;
    this.title.caption = trans.__('Scale: clusters and searches');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Scale'));
    const sections: [string, JSX.Element, ((isShown: boolean) => void)?][] = [
      [trans.__('Clusters'), <ClusterSection context={context} />],
      [trans.__('New search'), <NewSearchSection context={context} />],
      [trans.__('Searches'), <SearchSection context={context} />],
      [
        trans.__('Runs'),
        <RunSection context={context} />,
        isShown => (runs.isWatched = isShown)
      ],
      [trans.__('Diagnostics'), <DiagnosticSection context={context} />],
      [trans.__('Export'), <ExportSection context={context} />]
    ];
    for (const [label, body, shown] of sections) {
      const widget = new Section(body, shown);
      widget.title.label = label;
      this.addWidget(widget);
    }
    const announced = ReactWidget.create(<Announced context={context} />);
    announced.addClass('jps-Announced');
    (this.layout as PanelLayout).addWidget(announced);
    const accordion = this.content as AccordionPanel;
    accordion.collapse(NEW_SEARCH);
    accordion.collapse(RUNS);
    accordion.collapse(EXPORT);
    accordion.setRelativeSizes([5, 0, 4, 0, 3, 0]);
    accordion.expansionToggled.connect((_, index) => {
      const sizes = SIZES[index];
      if (sizes && accordion.widgets[index]?.isHidden === false) {
        accordion.setRelativeSizes(sizes);
      }
    });
  }

  /** Open the section in which a search is filled in. */
  expandNewSearch(): void {
    (this.content as AccordionPanel).expand(NEW_SEARCH);
  }

  /** Open the section in which the notebook is exported. */
  expandExport(): void {
    (this.content as AccordionPanel).expand(EXPORT);
  }
}
