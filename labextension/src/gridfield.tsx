import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IContext } from './context';
import { byStep, type Form, type IParameter, shortName } from './form';
import { CodeField, Field, Hint } from './parts';

/** The parameters, those of each step together. */
export function Grid({
  context: { trans },
  form
}: {
  context: IContext;
  form: Form;
}): JSX.Element {
  const [text, setText] = React.useState('');
  const { asked, estimator, problems } = form;
  const steps = byStep(estimator?.parameters ?? [], text, asked.grid);
  return (
    <fieldset className="jps-Grid">
      <legend>{trans.__('Parameters to search over')}</legend>
      <Field label={trans.__('Filter')} isWide>
        {control => (
          <input
            {...control}
            type="search"
            className="jps-Input"
            value={text}
            onChange={event => setText(event.target.value)}
            onKeyDown={event => {
              if (event.key === 'Enter') {
                event.preventDefault(); // it would plan
              }
            }}
          />
        )}
      </Field>
      <div className="jps-Steps">
        {steps.length === 0 && (
          <Hint>
            {text
              ? trans.__('No parameter is called so: clear the filter.')
              : trans.__('This estimator has no parameter that can be varied.')}
          </Hint>
        )}
        {steps.map(([step, parameters]) => (
          <fieldset key={step} className="jps-Step">
            <legend className="jps-Group">{step}</legend>
            {parameters.map(one => (
              <Parameter
                key={one.name}
                parameter={one}
                values={asked.grid[one.name]}
                problem={problems[one.name]}
                form={form}
                trans={trans}
              />
            ))}
          </fieldset>
        ))}
      </div>
      {problems['grid'] && <Hint isError>{problems['grid']}</Hint>}
    </fieldset>
  );
}

interface IParameterProps {
  parameter: IParameter;
  /** Nothing while it is not ticked. */
  values: string | undefined;
  problem: string | undefined;
  form: Form;
  trans: TranslationBundle;
}

function Parameter(props: IParameterProps): JSX.Element {
  const { parameter, values, problem, form, trans } = props;
  const { name, value, range } = parameter;
  return (
    <div className="jps-Parameter">
      <label>
        <input
          type="checkbox"
          checked={values !== undefined}
          onChange={event => form.tick(name, event.target.checked)}
        />
        <span className="jps-Parameters">{shortName(parameter)}</span>
        {value && <span className="jps-Note">{trans.__('now %1', value)}</span>}
      </label>
      {values !== undefined && (
        <CodeField
          label={trans.__('Values of %1', name)}
          value={values}
          note={range}
          problem={problem}
          onChange={text => form.type(name, text)}
        />
      )}
    </div>
  );
}
